"""``narrows evaluate``: how good recommendations are on what was held out, the simple answers beside."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from narrows.cli import files
from narrows.cli.errors import CommandError
from narrows.cli.flags import parse, refuse_beside_model, split_names
from narrows.cli.printing import json_text, print_json, print_record
from narrows.cli.recommend.fit import describe_model, fitted_recommender, load_recommender
from narrows.cli.recommend.ratings_input import RatingsInput, column_names, file_of_log, read_ratings
from narrows.data.output import write_table
from narrows.io.atomic import atomic_write

SPLITS = ("users", "last", "random")


def evaluate(
    ratings: str | None,
    split: str | None,
    method: str | None,
    metrics: str | None,
    model: Path | None,
    histories: str | None,
    out: Path | None,
    seed: int | None,
    device: str,
    *,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Measure, and print or write what came of it; ``columns`` are flags that name columns."""
    from narrows.recommend.evaluation import parse_metric

    asked = column_names(**columns)
    if split is not None and split not in SPLITS:
        raise CommandError(f"--split must be {' or '.join(SPLITS)}, got {split!r}.")
    if model is not None:
        refuse_beside_model("", {"--split": split, "--method": method, "--seed": seed})
        if ratings is None or histories is None:
            raise CommandError("Beside -m two logs are needed: RATINGS, what was held out, and --histories before it.")
    elif histories is not None:
        raise CommandError("--histories stands beside -m: without a model, RATINGS is parted into both.")
    wanted = split_names(metrics)
    for name in wanted or ():
        parse_metric(name)
    inputs = [file_of_log(data) for data in (ratings, histories) if data is not None]
    files.check_place(out, *inputs, model, endings=(".csv", ".tsv", ".json"))
    given = read_ratings(ratings, asked)
    if model is None:
        options = parse("recommender", {"method": method, "random_state": seed}) | asked | {"device": device}
        fitted, log, before, held_out = _held_out(given, split or "users", seed or 0, options)
    else:
        fitted, log, before, held_out = _of_files(model, given, read_ratings(histories, asked), device)
    found = fitted.evaluate(log, histories=before, **({"metrics": wanted} if wanted else {}))
    record = {
        "log": given.describe(),
        "held_out": held_out,
        **describe_model(fitted),
        "n_users": len(found.users),
        "n_cold": found.n_cold,
    }
    values, written = {"values": found.values}, {}
    if out is not None:
        _write(out, record | values)
        written = {"file": out}
    if as_json:
        print_json(record | values | written)
        return
    print_record(record | written, as_json=False)
    print(f"\n{found}")
    for name in list(next(iter(found.per_user.values()), {}))[:1]:
        print_record({f"gain_in_{name}": _gains(found, name)}, as_json=False)


def _held_out(given: RatingsInput, split: str, seed: int, options: dict[str, Any]) -> tuple[Any, Any, Any, str]:
    """Fit to a part of the log; return the model, what was held out, the histories (None: its own log), and words."""
    from narrows.recommend import split_last, split_random, split_users

    histories = None
    if split == "users":
        train, histories, held = split_users(given.log, random_state=seed)
        words = (
            f"{len(histories.users):,} users, none of whose entries the fit has seen; of each {len(held):,} in all "
            f"are held out, and {len(histories):,} folded in"
        )
    elif split == "last":
        train, held = split_last(given.log)
        words = f"the last item of each user, {len(held):,} in all"
    else:
        train, held = split_random(given.log, random_state=seed)
        words = f"{len(held):,} of {len(given.log):,} entries, at random"
    return fitted_recommender(replace(given, log=train), options), held, histories, words


def _of_files(path: Path, given: RatingsInput, before: RatingsInput, device: str) -> tuple[Any, Any, Any, str]:
    fitted = load_recommender(path, device)
    for log in (given, before):
        log.check_known(fitted)
    if not given.log.user_ids.index.keys() & before.log.user_ids.index.keys():
        raise CommandError(f"None of the users of {given.name} has a history in {before.name}.")
    return fitted, given.log, before.log, f"what is in {given.name}; {before.name} is folded in"


def _gains(found: Any, name: str) -> list[dict[str, Any]]:
    """Say how far the model is above the simple answers, user by user."""
    mine = found.per_user["model"][name]
    others = {method: mine - own[name] for method, own in found.per_user.items() if method != "model" and name in own}
    return [{"over": m, "mean": d.mean(), "standard_error": d.std() / np.sqrt(len(d))} for m, d in others.items()]


def _write(out: Path, record: dict[str, Any]) -> None:
    """Write the table: a row for each method, a column for each metric; as JSON all there is."""
    if out.suffix.lower() == ".json":
        with atomic_write(out) as temporary:
            temporary.write_text(json_text(record) + "\n", encoding="utf-8")
        return
    names = list(next(iter(record["values"].values())))
    rows = [
        {"method": method} | {name: None if math.isnan(found[name]) else float(found[name]) for name in names}
        for method, found in record["values"].items()
    ]
    write_table(out, pa.Table.from_pylist(rows))

"""``narrows evaluate``: how good recommendations are on what was held out, the simple answers beside."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.cli import files
from narrows.cli.columns import write_text
from narrows.cli.describe import describe_ratio
from narrows.cli.errors import CommandError
from narrows.cli.flags import parse, refuse_beside_model, split_names
from narrows.cli.printing import print_json, print_rows, print_table
from narrows.cli.recommend.fit import describe_method, describe_scale, fitted_recommender, load_recommender, method_rows
from narrows.cli.recommend.ratings_input import column_names, file_of_log, read_ratings
from narrows.io.atomic import atomic_write

if TYPE_CHECKING:
    from pathlib import Path

    from narrows.cli.recommend.ratings_input import RatingsInput

SPLITS = ("users", "last", "random")

_ERRORS = ("rmse", "mae")
_SIMPLE = {"user and item bias": "the biases of users and items", "item means": "item means", "zero table": "zeros"}


@dataclass(frozen=True)
class _HeldOut:
    """A model, what was held out from it, where the histories come from (None: its own log), and words for all that."""

    model: Any
    log: Any
    histories: Any
    words: str


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
        held = _held_out(given, split or "users", seed or 0, options)
    else:
        held = _of_files(model, given, read_ratings(histories, asked), device)
    found = held.model.evaluate(held.log, histories=held.histories, **({"metrics": wanted} if wanted else {}))
    record = {
        "log": given.describe(),
        "held_out": held.words,
        "method": describe_method(held.model.method_),
        "reason": held.model.reason_,
        "n_users": len(found.users),
        "n_cold": found.n_cold,
        "values": found.values,
    }
    if out is not None:
        _write(out, record)
    if as_json:
        print_json(record | ({} if out is None else {"file": out}))
    else:
        _show(record, found, held.model, out)


def _held_out(given: RatingsInput, split: str, seed: int, options: dict[str, Any]) -> _HeldOut:
    """Part the log, and fit to what is left."""
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
    model = fitted_recommender(replace(given, log=train), options, compared=False)
    return _HeldOut(model, held, histories, words)


def _of_files(path: Path, given: RatingsInput, before: RatingsInput, device: str) -> _HeldOut:
    from narrows.recommend.interactions import plain

    model = load_recommender(path, device)
    for log in (given, before):
        if not any(plain(item) in model.item_index_ for item in log.log.items):
            raise CommandError(f"The model knows none of the items of {log.name}.")
    if not set(before.log.users.tolist()) & set(given.log.users.tolist()):
        raise CommandError(f"None of the users of {given.name} has a history in {before.name}.")
    return _HeldOut(model, given.log, before.log, f"what is in {given.name}; {before.name} is folded in")


def _show(record: dict[str, Any], found: Any, model: Any, out: Path | None) -> None:
    cold = f"; {found.n_cold:,} entries are of items that the fit has not seen, and left out" if found.n_cold else ""
    print_rows([("log", record["log"]), ("held out", record["held_out"] + cold), *method_rows(model)])
    names = list(next(iter(found.values.values())))
    lists, errors = [name for name in names if name not in _ERRORS], [name for name in names if name in _ERRORS]
    if lists:
        users = f"{len(found.users):,} users with something positive among what was held out"
        _show_metrics(found.values, lists, f"lists of unseen items, of {users}")
        _show_gains(found, lists[0])
    if errors and any(not math.isnan(values[name]) for values in found.values.values() for name in errors):
        _show_metrics(found.values, errors, f"errors of predicted ratings, in their own scale: {describe_scale(model)}")
        mine = found.values["model"][errors[0]]
        parts = [describe_ratio(mine, found.values[k][errors[0]], _SIMPLE[k]) for k in _SIMPLE if k in found.values]
        if parts and not math.isnan(mine):
            print(f"By {errors[0]} the model has {', '.join(parts)}.")
    if out is not None:
        print_rows([("file", out)])


def _show_metrics(values: dict[str, dict[str, float]], names: list[str], title: str) -> None:
    """Print a row for each metric and a column for each method that has one of them."""
    methods = [method for method, found in values.items() if any(not math.isnan(found[name]) for name in names)]
    cells = [["-" if math.isnan(values[m][name]) else f"{values[m][name]:.4f}" for m in methods] for name in names]
    print_table(["", *methods], [[name, *row] for name, row in zip(names, cells, strict=True)], title=title)


def _show_gains(found: Any, name: str) -> None:
    """Say how far the model is above the simple answers, user by user."""
    mine = found.per_user["model"].get(name)
    if mine is None:
        return
    others = {method: mine - own[name] for method, own in found.per_user.items() if method != "model" and name in own}
    parts = [f"{d.mean():+.4f} ± {d.std() / np.sqrt(len(d)):.4f} against {method}" for method, d in others.items()]
    if parts:
        print(f"{name} of the model, user by user: {', '.join(parts)}.")


def _write(out: Path, record: dict[str, Any]) -> None:
    """Write the table: a row for each method, a column for each metric; as JSON all there is."""
    plain = {
        method: {name: None if math.isnan(value) else float(value) for name, value in found.items()}
        for method, found in record["values"].items()
    }
    if out.suffix.lower() == ".json":
        with atomic_write(out) as temporary:
            text = json.dumps(record | {"values": plain}, indent=2, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")
        return
    names = list(next(iter(plain.values())))
    rows = ([m, *("" if found[name] is None else found[name] for name in names)] for m, found in plain.items())
    write_text(out, ["method", *names], rows)

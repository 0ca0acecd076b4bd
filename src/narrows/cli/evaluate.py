"""``narrows evaluate``: how good recommendations are on what was held out, the simple answers beside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads it at runtime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.arguments import (  # noqa: TC001 - typer reads them at runtime
    AsJson,
    Device,
    ItemColumn,
    RatingColumn,
    RatingMethod,
    TimestampColumn,
    UserColumn,
)
from narrows.cli.recommender import (
    fitted_recommender,
    liked_in_words,
    load_recommender,
    method_in_words,
    options_of,
    scale_in_words,
)
from narrows.cli.show import print_json, print_rows, print_table, ratio_in_words
from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from narrows.cli.logs import Given

__all__ = ["evaluate"]

SPLITS = ("users", "last", "random")

_ERRORS = ("rmse", "mae")
_SIMPLE = {"user and item bias": "the biases of users and items", "item means": "item means", "zero table": "zeros"}


def evaluate(
    ratings: Annotated[
        str | None,
        typer.Argument(
            metavar="RATINGS",
            help="A log of users and items (csv, tsv, Parquet), or movielens-small; without it one is made up.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="|".join(SPLITS),
            help="What to hold out: a fifth of the users, the last item of each, or a tenth of all entries by chance "
            "[default: users].",
            show_default=False,
        ),
    ] = None,
    method: RatingMethod = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics", metavar="NAME,...", help="What to measure, as in ndcg@100,recall@20,rmse [default: nine]."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", "-m", metavar="MODEL", help="A fitted recommender; RATINGS is then what was held out from it."
        ),
    ] = None,
    histories: Annotated[
        str | None,
        typer.Option("--histories", metavar="FILE", help="Beside -m: a log of what the users of RATINGS had before."),
    ] = None,
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    rating_column: RatingColumn = None,
    timestamp_column: TimestampColumn = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="OUT", help="Write the table: .csv, .tsv or .json.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="INT", min=0, help="Fixes what is held out, and the fit [default: 0].", show_default=False
        ),
    ] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure recommendations on what was held out from RATINGS.

    A recommender is fitted to what is left, and measured beside popularity, item means and EASE; predicted ratings
    beside the biases of users and items, item means, and the zeros of a table in which unrated is 0. Users who are held
    out as a whole (--split users) are the honest test: a fifth of each one's items is to be found, the others are told.
    """
    from narrows.cli import files
    from narrows.cli.logs import column_names, file_of_log, log_mistakes, read_ratings

    asked = column_names(user_column, item_column, rating_column, timestamp_column)
    _check_together(ratings, split, method, model, histories, seed)
    _check_metrics(metrics)
    inputs = [file_of_log(data) for data in (ratings, histories) if data is not None]
    if out is not None:
        if out.suffix.lower() not in (".csv", ".tsv", ".json"):
            raise CommandError(f"{out} must be a .csv, .tsv or .json file.")
        files.check_place(out, *inputs, model)
    given = read_ratings(ratings, asked)
    if model is None:
        options = options_of({"method": method, "random_state": seed, **asked}) | {"device": device}
        held = _held_out(given, split or "users", seed or 0, options)
    else:
        held = _of_files(model, given, str(histories), asked, device)
    with log_mistakes():
        wanted: dict[str, Any] = {} if metrics is None else {"metrics": [name.strip() for name in metrics.split(",")]}
        found = held.model.evaluate(held.log, histories=held.histories, **wanted)
    record = {
        "log": given.in_words(),
        "held_out": held.words,
        "method": method_in_words(held.model.method_),
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
        _show(record, found, held, out)


@dataclass(frozen=True)
class _Held:
    """A model, what was held out from it, where the histories come from (None: its own log), and words for all that."""

    model: Any
    log: Any
    histories: Any
    words: str


def _check_together(
    ratings: str | None,
    split: str | None,
    method: str | None,
    model: Path | None,
    histories: str | None,
    seed: int | None,
) -> None:
    if split is not None and split not in SPLITS:
        raise CommandError(f"--split must be {' or '.join(SPLITS)}, got {split!r}.")
    if model is None:
        if histories is not None:
            raise CommandError("--histories stands beside -m: without a model, RATINGS is parted into both.")
        return
    others = {"split": split, "method": method, "seed": seed}
    asked = next((name for name, value in others.items() if value is not None), None)
    if asked is not None:
        raise CommandError(f"--{asked} is for fitting, and -m names a model that is fitted: leave one of them out.")
    if ratings is None or histories is None:
        raise CommandError(
            "Beside -m two logs are needed: RATINGS, what was held out, and --histories, what its users had before."
        )


def _check_metrics(metrics: str | None) -> None:
    from narrows.cli.mistakes import mistakes_of
    from narrows.recommend.evaluation import parse_metric

    with mistakes_of():
        for name in metrics.split(",") if metrics is not None else ():
            parse_metric(name.strip())


def _held_out(given: Given, split: str, seed: int, options: dict[str, Any]) -> _Held:
    """Part the log, and fit to what is left."""
    from dataclasses import replace

    from narrows.cli.logs import log_mistakes
    from narrows.recommend import split_last, split_random, split_users

    histories = None
    with log_mistakes():
        if split == "users":
            train, histories, held = split_users(given.log, random_state=seed)
            words = (
                f"{len(histories.users):,} users, none of whose entries the fit has seen; of each {len(held):,} in all "
                f"are to be found, and {len(histories):,} are told"
            )
        elif split == "last":
            train, held = split_last(given.log)
            words = f"the last item of each user, {len(held):,} in all"
        else:
            train, held = split_random(given.log, random_state=seed)
            words = f"{len(held):,} of {len(given.log):,} entries, by chance"
    model = fitted_recommender(replace(given, log=train), options, compared=False)
    return _Held(model, held, histories, words)


def _of_files(path: Path, given: Given, histories: str, asked: dict[str, str | None], device: str) -> _Held:
    from narrows.cli.logs import read_ratings
    from narrows.recommend.interactions import plain

    model = load_recommender(path, device)
    before = read_ratings(histories, asked)
    for log in (given, before):
        if not any(plain(item) in model._places for item in log.log.items):
            raise CommandError(f"The model knows none of the items of {log.name}.")
    if not set(before.log.users.tolist()) & set(given.log.users.tolist()):
        raise CommandError(f"None of the users of {given.name} has a history in {before.name}.")
    return _Held(model, given.log, before.log, f"what is in {given.name}; {before.name} is told")


def _show(record: dict[str, Any], found: Any, held: _Held, out: Path | None) -> None:
    model = held.model
    cold = f"; {found.n_cold:,} entries are of items that the fit has not seen, and left out" if found.n_cold else ""
    print_rows(
        [
            ("log", record["log"]),
            ("held out", record["held_out"] + cold),
            ("method", f"{record['method']}; {record['reason']}"),
            ("liked", liked_in_words(model.positive_from_)),
        ]
    )
    names = list(next(iter(found.values.values())))
    lists, errors = [name for name in names if name not in _ERRORS], [name for name in names if name in _ERRORS]
    if lists:
        print()
        users = f"{len(found.users):,} users with something liked among what was held out"
        _print_ways(found.values, lists, f"lists of unseen items, of {users}")
        _print_rows_of_gains(found, lists[0])
    if errors and any(not math.isnan(values[name]) for values in found.values.values() for name in errors):
        print()
        _print_ways(found.values, errors, f"errors of predicted ratings, in their own scale: {scale_in_words(model)}")
        if said := _error_in_words(found.values, errors[0]):
            print(said)
    if out is not None:
        print_rows([("file", out)])


def _print_ways(values: dict[str, dict[str, float]], names: list[str], title: str) -> None:
    """Print a row for each metric and a column for each way that has one of them."""
    ways = [way for way, found in values.items() if any(not math.isnan(found[name]) for name in names)]
    rows = [[name, *(_cell(values[way][name]) for way in ways)] for name in names]
    print_table(["", *ways], rows, title=title)


def _cell(value: float) -> Any:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _print_rows_of_gains(found: Any, name: str) -> None:
    """Say how far the model is above the simple answers, user by user."""
    import numpy as np

    mine = found.per_user["model"].get(name)
    if mine is None:
        return
    parts = []
    for way, values in found.per_user.items():
        if way != "model" and name in values:
            difference = mine - values[name]
            error = difference.std() / np.sqrt(len(difference))
            parts.append(f"{difference.mean():+.4f} ± {error:.4f} against {way}")
    if parts:
        print(f"{name} of the model, user by user: {', '.join(parts)}.")


def _error_in_words(values: dict[str, dict[str, float]], name: str) -> str:
    mine = values["model"][name]
    parts = [ratio_in_words(mine, values[way][name], words) for way, words in _SIMPLE.items() if way in values]
    return f"By {name} the model has {', '.join(parts)}." if parts and not math.isnan(mine) else ""


def _write(out: Path, record: dict[str, Any]) -> None:
    """Write the table: a row for each way, a column for each metric; as JSON all there is."""
    import csv
    import json

    from narrows.io.atomic import atomic_write

    names = list(next(iter(record["values"].values())))
    plain = {
        way: {name: None if math.isnan(value) else float(value) for name, value in found.items()}
        for way, found in record["values"].items()
    }
    with atomic_write(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        if out.suffix.lower() == ".json":
            json.dump(record | {"values": plain}, stream, indent=2, ensure_ascii=False)
            stream.write("\n")
            return
        writer = csv.writer(stream, delimiter="," if out.suffix.lower() == ".csv" else "\t", lineterminator="\n")
        writer.writerow(["method", *names])
        for way, found in plain.items():
            writer.writerow([way, *("" if found[name] is None else found[name] for name in names)])

"""Lists of recommendations on the command line: as a table file, as a record, on the screen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.cli.columns import write_columns
from narrows.cli.printing import print_rows, print_table
from narrows.cli.recommend.fit import candidate_rows, describe_method, method_rows
from narrows.recommend.interactions import plain

if TYPE_CHECKING:
    from pathlib import Path

    from narrows.cli.recommend.ratings_input import RatingsInput


@dataclass(frozen=True)
class Users:
    """Who is to be recommended to.

    Attributes
    ----------
    ids : list
        Their ids; None stands for someone whose history is on the command line.
    rows : csr_array of shape (n_users, n_items)
        What they have, on the items of the model.
    rated : bool
        Whether the values are ratings.
    history : str
        The history of the command line, as it was understood.
    """

    ids: list[Any]
    rows: Any
    rated: bool
    history: str = ""


@dataclass(frozen=True)
class Lists:
    """What is recommended.

    Attributes
    ----------
    users : Users
        To whom.
    columns : dict of str to ndarray
        Of each recommendation ``row`` (a place in ``users.ids``), item, score, rank, source and perhaps title.
    predicted : ndarray or None
        The ratings that are predicted.
    positives : list of int
        How many positive items each has.
    """

    users: Users
    columns: dict[str, Any]
    predicted: np.ndarray | None = None
    positives: list[int] = field(default_factory=list)


def write(out: Path, lists: Lists) -> None:
    """Write user, item, score, rank, title, source and predicted rating; without users for a typed history."""
    found, ids = lists.columns, lists.users.ids
    table: dict[str, Any] = {}
    if ids != [None]:
        # Ids of a log are of one type.
        table["user"] = np.array(ids)[found["row"]]
    table |= {name: found[name] for name in ("item", "score", "rank")}
    table["title"] = found.get("title", np.full(len(found["item"]), "", dtype=object))
    table["source"] = found["source"]
    if lists.predicted is not None:
        table["predicted_rating"] = np.asarray(lists.predicted)
    write_columns(out, [np.asarray(column) for column in table.values()], list(table))


def record_of(fitted: Any, given: RatingsInput | None, lists: Lists, *, short: bool) -> dict[str, Any]:
    """Return what is to be said as a record; ``short`` leaves the lists out."""
    record: dict[str, Any] = {
        "log": None if given is None else given.describe(),
        "method": describe_method(fitted.method_),
        "reason": fitted.reason_,
        "positive_from": fitted.positive_from_,
        "candidates": fitted.candidates_,
        "n_users": len(lists.users.ids),
    }
    return record if short else record | {"users": [_one(lists, row) for row in range(len(lists.users.ids))]}


def _one(lists: Lists, row: int) -> dict[str, Any]:
    """Return what there is to say of one user."""
    columns: dict[str, Any] = {
        name: lists.columns[name] for name in ("rank", "item", "title", "score", "source") if name in lists.columns
    }
    if lists.predicted is not None:
        columns["predicted_rating"] = lists.predicted
    places = np.flatnonzero(lists.columns["row"] == row).tolist()
    entries = [{name: plain(values[place]) for name, values in columns.items()} for place in places]
    seen = int(np.diff(lists.users.rows.indptr)[row])
    return {"user": lists.users.ids[row], "seen": seen, "liked": lists.positives[row], "items": entries}


def show(fitted: Any, given: RatingsInput | None, lists: Lists, written: dict[str, Path]) -> None:
    """Print what was found: the lists themselves where they were not written to a file."""
    users, to_file = lists.users, "file" in written
    size = f"{len(lists.columns['row']):,} rows, of {len(users.ids):,} users"
    print_rows(
        [
            *([("log", given.describe())] if given is not None else []),
            *method_rows(fitted),
            *candidate_rows(fitted),
            *([("history", users.history)] if users.history else []),
            *([("lists", size)] if to_file else []),
            *written.items(),
        ]
    )
    for row in range(len(users.ids)) if not to_file else ():
        _show_one(_one(lists, row), rated=lists.predicted is not None)


def _show_one(found: dict[str, Any], *, rated: bool) -> None:
    entries = found["items"]
    whose = "for this history" if found["user"] is None else f"user {found['user']}"
    has = f"{found['seen']:,} items known to the model, {found['liked']:,} of them positive"
    why = "" if found["liked"] else ": what is popular, for want of anything positive"
    if not entries:
        print(f"\n{whose} ({has}): nothing is left to recommend")
        return
    titled = any(entry.get("title") for entry in entries)
    head = ["rank", "item", *(["title"] * titled), "score", *(["predicted rating"] * rated)]
    rows = []
    for entry in entries:
        title = [entry.get("title", "")] * titled
        # As text, so that all have as many decimals.
        predicted = [f"{entry['predicted_rating']:.2f}"] if rated else []
        # An item that no one has taken has no score.
        score = "-" if math.isnan(entry["score"]) else f"{entry['score']:.4f}"
        rows.append([entry["rank"], str(entry["item"]), *title, score, *predicted])
    print_table(head, rows, title=f"{whose} ({has}){why}")

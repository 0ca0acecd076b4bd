"""Lists of recommendations on the command line: as a table file, as a record, on the screen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from narrows.cli.recommender import candidate_rows, liked_in_words, method_in_words
from narrows.cli.show import print_rows, print_table

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from narrows.cli.logs import Given

__all__ = ["Lists", "Whom", "record_of", "show", "write"]


@dataclass(frozen=True)
class Whom:
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
    whom : Whom
        To whom.
    columns : dict of str to ndarray
        Of each recommendation ``row`` (a place in ``whom.ids``), item, score, rank, source and perhaps title.
    predicted : ndarray or None
        The ratings that are predicted.
    liked : list of int
        How many items each has liked.
    """

    whom: Whom
    columns: dict[str, Any]
    predicted: np.ndarray | None = None
    liked: list[int] = field(default_factory=list)

    def of(self, row: int) -> list[int]:
        """Return the places of one user's list in the columns."""
        places: list[int] = (self.columns["row"] == row).nonzero()[0].tolist()
        return places


def write(out: Path, lists: Lists) -> None:
    """Write user, item, score, rank, title, source and predicted rating; without users for a typed history."""
    import numpy as np

    from narrows.cli.columns import write_columns

    found, ids = lists.columns, lists.whom.ids
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


def record_of(fitted: Any, given: Given | None, lists: Lists, *, short: bool) -> dict[str, Any]:
    """Return what is to be said as a record; ``short`` leaves the lists out."""
    record: dict[str, Any] = {
        "log": None if given is None else given.in_words(),
        "method": method_in_words(fitted.method_),
        "reason": fitted.reason_,
        "positive_from": fitted.positive_from_,
        "candidates": fitted.candidates_,
        "n_users": len(lists.whom.ids),
    }
    return record if short else record | {"users": [_one(lists, row) for row in range(len(lists.whom.ids))]}


def _one(lists: Lists, row: int) -> dict[str, Any]:
    """Return what there is to say of one user."""
    import numpy as np

    found, entries = lists.columns, []
    for place in lists.of(row):
        entry: dict[str, Any] = {
            name: found[name][place] for name in ("rank", "item", "title", "score", "source") if name in found
        }
        if lists.predicted is not None:
            entry["predicted_rating"] = lists.predicted[place]
        entries.append(
            {name: value.item() if isinstance(value, np.generic) else value for name, value in entry.items()}
        )
    seen = int(np.diff(lists.whom.rows.indptr)[row])
    return {"user": lists.whom.ids[row], "seen": seen, "liked": lists.liked[row], "items": entries}


def show(fitted: Any, given: Given | None, lists: Lists, written: dict[str, Path]) -> None:
    """Print what was found: the lists themselves where they were not written to a file."""
    print_rows(
        [
            *([("log", given.in_words())] if given is not None else []),
            ("method", f"{method_in_words(fitted.method_)}; {fitted.reason_}"),
            *candidate_rows(fitted),
            ("liked", liked_in_words(fitted.positive_from_)),
            *([("history", lists.whom.history)] if lists.whom.history else []),
            *(
                [("lists", f"{len(lists.columns['row']):,} rows, of {len(lists.whom.ids):,} users")]
                if "file" in written
                else []
            ),
            *written.items(),
        ]
    )
    for row in range(len(lists.whom.ids)) if "file" not in written else ():
        _show_one(_one(lists, row), rated=lists.predicted is not None)


def _show_one(found: dict[str, Any], *, rated: bool) -> None:
    entries = found["items"]
    whose = "for this history" if found["user"] is None else f"user {found['user']}"
    has = f"{found['seen']:,} items known to the model, {found['liked']:,} of them liked"
    why = "" if found["liked"] else ": what is popular, for want of anything liked"
    print()
    if not entries:
        print(f"{whose} ({has}): nothing is left to recommend")
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

"""Lists of recommendations on the command line: as a table file, as a record, on the screen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from narrows.cli.columns import write_columns
from narrows.cli.printing import print_json, print_record, print_table
from narrows.cli.recommend.fit import describe_model
from narrows.cli.recommend.ratings_input import RatingsInput
from narrows.recommend.ids import plain


@dataclass(frozen=True)
class Users:
    """Who is to be recommended to: ids (None for a history of the command line), and what they have, on known items."""

    ids: list[Any]
    rows: Any
    rated: bool
    history: str = ""


@dataclass(frozen=True)
class Lists:
    """What is recommended to whom.

    ``columns`` have of each recommendation its ``row`` (a place in ``users.ids``), item, score, rank, source and
    perhaps title; ``predicted`` the ratings, if any are; ``positives`` how many positive items each user has.
    """

    users: Users
    columns: dict[str, Any]
    predicted: np.ndarray | None
    positives: list[int]


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


def show(
    fitted: Any, given: RatingsInput | None, lists: Lists, written: dict[str, Path], *, short: bool, as_json: bool
) -> None:
    """Print what was found: the lists themselves where they were not written to a file, or not to be left out."""
    users = lists.users
    record: dict[str, Any] = {
        "log": None if given is None else given.describe(),
        **describe_model(fitted),
        "history": users.history,
        "n_users": len(users.ids),
        **written,
    }
    found = [] if short or ("file" in written and not as_json) else [_one(lists, row) for row in range(len(users.ids))]
    if as_json:
        print_json(record | ({} if short else {"users": found}))
        return
    print_record(record, as_json=False)
    for one in found:
        whose = "for this history" if one["user"] is None else f"user {one['user']}"
        has = f"{one['seen']:,} items known to the model, {one['positives']:,} of them positive"
        if one["items"]:
            rows = [item.values() for item in one["items"]]
            print_table([name.replace("_", " ") for name in one["items"][0]], map(list, rows), title=f"{whose} ({has})")
        else:
            print(f"\n{whose} ({has}): nothing is left to recommend")


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
    return {"user": lists.users.ids[row], "seen": seen, "positives": lists.positives[row], "items": entries}

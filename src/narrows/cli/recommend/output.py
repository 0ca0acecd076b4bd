"""Lists of recommendations on the command line: as a table file, as a record, on the screen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from narrows.cli.printing import print_json, print_record, print_table
from narrows.data.output import write_table
from narrows.recommend.ids import id_array, plain


@dataclass(frozen=True)
class Lists:
    """What is recommended to whom: ids of users (None for a history of the command line), and columns.

    ``columns`` have of each recommendation its ``row`` (a place in ``ids``), item, score, rank, source, perhaps title
    and predicted rating; ``seen`` and ``positives`` how many known and how many positive items each user has.
    """

    ids: list[Any]
    seen: list[int]
    positives: list[int]
    columns: dict[str, Any]


def write(out: Path, lists: Lists) -> None:
    """Write user, item, score, rank, title, source and predicted rating; without users for a typed history."""
    table = {"title": np.full(len(lists.columns["item"]), "", dtype=object)} | lists.columns
    row = table.pop("row")
    if lists.ids != [None]:
        table["user"] = id_array(lists.ids)[row]
    order = ("user", "item", "score", "rank", "title", "source", "predicted_rating")
    names = [name for name in order if name in table]
    write_table(out, pa.table({name: pa.array(np.asarray(table[name])) for name in names}))


def show(record: dict[str, Any], lists: Lists, *, listed: bool, as_json: bool) -> None:
    """Print a record, and the lists themselves where they are ``listed``."""
    users = [_one(lists, row) for row in range(len(lists.ids))] if listed else []
    if as_json:
        print_json(record | ({"users": users} if listed else {}))
        return
    print_record(record, as_json=False)
    for one in users:
        whose = "for this history" if one["user"] is None else f"user {one['user']}"
        has = f"{one['seen']:,} items known to the model, {one['positives']:,} of them positive"
        if one["items"]:
            rows = [item.values() for item in one["items"]]
            print_table([name.replace("_", " ") for name in one["items"][0]], map(list, rows), title=f"{whose} ({has})")
        else:
            print(f"\n{whose} ({has}): nothing is left to recommend")


def _one(lists: Lists, row: int) -> dict[str, Any]:
    """Return what there is to say of one user."""
    order = ("rank", "item", "title", "score", "source", "predicted_rating")
    columns = {name: lists.columns[name] for name in order if name in lists.columns}
    places = np.flatnonzero(lists.columns["row"] == row).tolist()
    entries = [{name: plain(values[place]) for name, values in columns.items()} for place in places]
    return {"user": lists.ids[row], "seen": lists.seen[row], "positives": lists.positives[row], "items": entries}

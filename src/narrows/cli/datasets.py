"""``narrows datasets``: the named data sets."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import narrows.datasets
from narrows.cli.printing import print_json, print_table
from narrows.datasets import Record
from narrows.datasets.download import cache_folder
from narrows.datasets.records import RATINGS, RatingsRecord


def datasets(*, as_json: bool) -> None:
    """Print sizes, licences, and where each is or would come from; rows first, then logs of users and items."""
    sets = [_described(narrows.datasets.describe(name)) for name in narrows.datasets.names()]
    logs = [_described(record) for record in RATINGS.values()]
    if as_json:
        print_json(sets + logs)
        return
    rows = [(r["name"], r["n_train"], r["n_test"], " x ".join(map(str, r["shape"])), *_terms(r)) for r in sets]
    print_table(["name", "train", "test", "row", "licence", "where"], rows)
    rows = [(r["name"], r["n_ratings"], r["n_users"], str(r["n_items"]), *_terms(r)) for r in logs]
    print_table(["log", "ratings", "users", "items", "licence", "where"], rows)


def _described(record: Record | RatingsRecord) -> dict[str, Any]:
    files = getattr(record, "files", None)
    folder = next((str(place) for place in _places(record) if _is_whole(record, place)), None)
    told = {name: value for name, value in asdict(record).items() if name not in ("files", "members")}
    return told | {"present": files == () or folder is not None, "folder": folder}


def _places(record: Record | RatingsRecord) -> list[Path]:
    """Return where a data set may be: a folder of one's own, the cache."""
    own = os.environ.get("NARROWS_DATA")
    bases = [*([Path(own).expanduser()] if own else []), cache_folder()]
    return [base / getattr(record, "folder", record.name) for base in bases]


def _is_whole(record: Any, folder: Path) -> bool:
    """Say whether a folder has all files of a data set, or its archive."""
    if hasattr(record, "members"):
        archive = folder / f"{record.folder}.zip"
        return archive.is_file() or all((folder / member.name).is_file() for member in record.members)
    names = [(file.name, file.name.removesuffix(".gz")) for file in record.files]
    return bool(names) and all(any((folder / name).is_file() for name in either) for either in names)


def _terms(record: dict[str, Any]) -> tuple[str, str]:
    """Return the licence, and where a data set is or would come from."""
    where = "comes with scikit-learn" if record["present"] else f"a download of {record['megabytes']:g} MB"
    return record["licence"].split(";")[0], str(record["folder"] or where)

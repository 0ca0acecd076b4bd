"""``narrows datasets``: the named data sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narrows.cli.arguments import AsJson  # noqa: TC001 - typer reads it at runtime
from narrows.cli.show import print_json, print_table

if TYPE_CHECKING:
    from narrows.datasets import Record
    from narrows.datasets.records import RatingsRecord

__all__ = ["datasets"]


def datasets(as_json: AsJson = False) -> None:
    """List the named data sets.

    Sizes, licences, and where each is or would come from; rows first, then logs of users and items.
    """
    from narrows import datasets as sets
    from narrows.datasets.records import RATINGS

    records = [_describe(sets.describe(name)) for name in sets.names()]
    logs = [_describe_log(record) for record in RATINGS.values()]
    if as_json:
        print_json(records + logs)
        return
    print_table(
        ["name", "train", "test", "row", "licence", "where"],
        [
            (r["name"], r["n_train"], r["n_test"], " x ".join(map(str, r["shape"])), r["licence"], _where(r))
            for r in records
        ],
    )
    print_table(
        ["log", "ratings", "users", "items", "licence", "where"],
        [(r["name"], r["n_ratings"], r["n_users"], r["n_items"], r["licence"].split(";")[0], _where(r)) for r in logs],
    )


def _describe(record: Record) -> dict[str, Any]:
    return {
        "name": record.name,
        "summary": record.summary,
        "n_train": record.n_train,
        "n_test": record.n_test,
        "shape": record.shape,
        "licence": record.licence,
        "citation": record.citation,
        "megabytes": record.megabytes,
        "addresses": record.addresses,
        "present": not record.files or _folder(record) is not None,
        "folder": _folder(record),
    }


def _describe_log(record: RatingsRecord) -> dict[str, Any]:
    folder = _folder_of_log(record)
    return {
        "name": record.name,
        "summary": record.summary,
        "n_ratings": record.n_ratings,
        "n_users": record.n_users,
        "n_items": record.n_items,
        "licence": record.licence,
        "citation": record.citation,
        "megabytes": record.megabytes,
        "addresses": record.addresses,
        "present": folder is not None,
        "folder": folder,
    }


def _folder_of_log(record: RatingsRecord) -> str | None:
    """Return the folder that has the files of a log, or its archive: one's own, or the cache."""
    from narrows.datasets.download import cache_folder

    own = os.environ.get("NARROWS_DATA")
    for base in ([Path(own).expanduser()] if own else []) + [cache_folder()]:
        folder = base / record.folder
        unpacked = all((folder / member.name).is_file() for member in record.members)
        if unpacked or (folder / f"{record.folder}.zip").is_file():
            return str(folder)
    return None


def _folder(record: Record) -> str | None:
    """Return the folder that has all files of a data set: one's own, or the cache."""
    from narrows.datasets.download import cache_folder

    own = os.environ.get("NARROWS_DATA")
    for base in ([Path(own).expanduser()] if own else []) + [cache_folder()]:
        folder = base / record.name
        names = [(file.name, file.name.removesuffix(".gz")) for file in record.files]
        if names and all(any((folder / name).is_file() for name in either) for either in names):
            return str(folder)
    return None


def _where(record: dict[str, Any]) -> str:
    if record["folder"]:
        return str(record["folder"])
    if record["present"]:
        return "comes with scikit-learn"
    return f"a download of {record['megabytes']:g} MB"

"""``narrows datasets``: the named data sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narrows.cli.arguments import AsJson  # noqa: TC001 - typer reads it at runtime
from narrows.cli.show import print_json, print_table

if TYPE_CHECKING:
    from narrows.datasets import Record

__all__ = ["datasets"]


def datasets(as_json: AsJson = False) -> None:
    """List the named data sets.

    Sizes, licences, and where each is or would come from.
    """
    from narrows import datasets as sets

    records = [_describe(sets.describe(name)) for name in sets.names()]
    if as_json:
        print_json(records)
        return
    print_table(
        ["name", "train", "test", "row", "licence", "where"],
        [
            (r["name"], r["n_train"], r["n_test"], " x ".join(map(str, r["shape"])), r["licence"], _where(r))
            for r in records
        ],
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


def _folder(record: Record) -> str | None:
    """Return the folder that has all files of a data set: one's own, or the cache."""
    from narrows.datasets.lookup import cache_folder

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

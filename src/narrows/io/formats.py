"""Which format a file is in, and whether there is a file at all."""

import os
import re
from pathlib import Path

from narrows.errors import DataError

__all__ = ["WRITABLE", "existing_file", "format_of"]

# What verbs write, as messages name it.
WRITABLE = ".csv, .tsv, .parquet, .npy and .npz"

_ENDINGS = (
    (re.compile(r"\.csv(\.gz)?$"), "csv"),
    (re.compile(r"\.tsv(\.gz)?$"), "tsv"),
    (re.compile(r"\.(parquet|pq)$"), "parquet"),
    (re.compile(r"\.npy$"), "npy"),
    (re.compile(r"\.npz$"), "npz"),
    # MNIST's own names (train-images-idx3-ubyte) have no extension.
    (re.compile(r"(\.idx\d?|-ubyte)(\.gz)?$"), "idx"),
)


def format_of(path: Path) -> str | None:
    """Return "csv", "tsv", "parquet", "npy", "npz" or "idx" by the name; None for any other."""
    name = path.name.lower()
    return next((kind for ending, kind in _ENDINGS if ending.search(name)), None)


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there, may be read and is not empty."""
    file = Path(path)
    if file.is_dir():
        raise DataError(f"{file} is a folder, not a file.")
    try:
        with file.open("rb") as stream:
            first = stream.read(1)
    except FileNotFoundError as error:
        raise DataError(f"{file} does not exist.") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    if not first:
        raise DataError(f"{file} is empty.")
    return file

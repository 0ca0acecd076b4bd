"""What the verbs of the codec read and write: data as it is, codecs, compressed files and restored rows."""

from pathlib import Path
from typing import Any

import numpy as np

from narrows import tables
from narrows.cli import files
from narrows.cli.columns import write_columns
from narrows.cli.errors import CommandError
from narrows.cli.flags import split_names
from narrows.errors import DataError
from narrows.io.atomic import atomic_write
from narrows.tables.formats import DELIMITERS, format_of


def require_coder() -> None:
    """Refuse to begin without the library that codes, before anything is read."""
    from narrows.codec.container.entropy import require_constriction

    require_constriction()


def is_compressed(path: Path) -> bool:
    """Say whether a file begins as compressed data does; one that cannot be read does not."""
    from narrows.codec.container.format import MAGIC

    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def load_codec(path: Path) -> Any:
    """Load a codec, and refuse a model of another class."""
    require_coder()
    return files.load_model(path, "cpu", "compress", "compresses nothing: fit a codec with narrows codec fit")


def read_to_code(data: str, columns: str | None) -> Any:
    """Return DATA as a codec takes it: a file by its path, so that big ones are read in pieces."""
    place = files.file_of(data)
    wanted = split_names(columns)
    if place is None:
        return files.read_data(data, wanted).images()
    if place.is_dir():
        # Says by the folder's own name what is wrong with it.
        tables.open_segments(place)
    if wanted is None:
        return place
    try:
        return tables.read(place, columns=wanted)
    except DataError:
        if place.is_dir() or format_of(place) not in (*DELIMITERS, "parquet"):
            raise
        # Perhaps there is text in them; if it is something else, that is said again.
        return tables.read_named(place, wanted)


def write_restored(out: Path, found: Any, names: list[str] | None) -> None:
    """Write what ``Codec.decompress`` gave; ``names`` are those of the columns of an array."""
    kind = format_of(out)
    if not isinstance(found, np.ndarray) and kind not in ("csv", "tsv", "parquet"):
        raise CommandError(f"{out} holds values of one type, and these columns differ: write .csv, .tsv or .parquet.")
    if isinstance(found, dict):
        write_columns(out, list(found.values()), list(found))
    elif not isinstance(found, np.ndarray):
        with atomic_write(out) as temporary:
            _write_frame(temporary, found, str(kind))
    elif kind != "npy":
        tables.write(out, found if kind == "npz" else found.reshape(len(found), -1), columns=names)
    elif found.dtype.kind == "O":
        raise CommandError(f"{out} cannot hold objects, which could run code when they are read: write .csv.")
    else:
        with atomic_write(out) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array(file, found, allow_pickle=False)


def _write_frame(file: Path, frame: Any, kind: str) -> None:
    import pandas as pd

    if kind == "parquet":
        frame.to_parquet(file)
    else:
        kept = not isinstance(frame.index, pd.RangeIndex)
        frame.to_csv(file, sep="," if kind == "csv" else "\t", index=kept)


def raw_bytes_of(record: dict[str, Any]) -> int | None:
    """Return how many bytes the values of compressed data take as they are, None where there is text among them."""
    dtypes = record["dtype"]
    kinds = [dtypes] * (record["n_values"] // max(1, record["n_rows"])) if isinstance(dtypes, str) else dtypes
    try:
        held = [np.dtype(kind) for kind in kinds]
    except TypeError:
        return None
    return None if any(kind.kind in "OUS" for kind in held) else record["n_rows"] * sum(kind.itemsize for kind in held)

"""What the verbs of the codec read and write: data as it is, codecs, compressed files and restored rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from narrows.cli import files
from narrows.cli.errors import CommandError
from narrows.cli.flags import split_names
from narrows.codec.files import write_array
from narrows.data.columns import read_columns
from narrows.data.inputs import is_table
from narrows.data.output import delimiter_of, write_table
from narrows.data.places import format_of, is_text
from narrows.io.atomic import atomic_write


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
    place, wanted = files.file_of(data), split_names(columns)
    if place is None and files.named_set(data):
        return files.read_data(data, {} if wanted is None else {"columns": wanted}).rows
    if wanted is None:
        return place or data
    if not is_table(data):
        raise CommandError(f"--columns is for tables, and {data} is none.")
    missing = {"missing_values": [""]} if is_text(data) else {}
    return read_columns(data, columns=wanted, **missing)


def write_restored(out: Path, found: Any, names: list[str] | None) -> None:
    """Write what ``Codec.decompress`` gave; ``names`` are those of the columns of an array."""
    kind = format_of(out)
    if isinstance(found, dict) and kind in ("npy", "npz") and all(part.dtype.kind in "iufb" for part in found.values()):
        names, found = list(found), np.column_stack(list(found.values()))
    if not isinstance(found, np.ndarray) and kind not in ("text", "parquet"):
        raise CommandError(f"{out} holds values of one type, and these columns differ: write .csv, .tsv or .parquet.")
    if isinstance(found, dict):
        write_table(out, pa.table({name: pa.array(values) for name, values in found.items()}))
    elif not isinstance(found, np.ndarray):
        with atomic_write(out) as temporary:
            _write_frame(temporary, found, None if kind == "parquet" else delimiter_of(out))
    elif kind != "npy":
        write_array(out, found, names)
    elif found.dtype.kind == "O":
        raise CommandError(f"{out} cannot hold objects, which could run code when they are read: write .csv.")
    else:
        with atomic_write(out) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array(file, found, allow_pickle=False)


def _write_frame(file: Path, frame: Any, delimiter: str | None) -> None:
    import pandas as pd

    if delimiter is None:
        frame.to_parquet(file)
    else:
        kept = not isinstance(frame.index, pd.RangeIndex)
        frame.to_csv(file, sep=delimiter, index=kept)


def raw_bytes_of(record: dict[str, Any]) -> int | None:
    """Return how many bytes the values of compressed data take as they are, None where there is text among them."""
    dtypes = record["dtype"]
    kinds = [dtypes] * (record["n_values"] // max(1, record["n_rows"])) if isinstance(dtypes, str) else dtypes
    try:
        held = [np.dtype(kind) for kind in kinds]
    except TypeError:
        return None
    return None if any(kind.kind in "OUS" for kind in held) else record["n_rows"] * sum(kind.itemsize for kind in held)

"""What the verbs of the codec read and write: data as it is, codecs, compressed files and restored rows."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.values import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CodecFile",
    "bytes_in_words",
    "check_compressed_place",
    "data_in_words",
    "is_compressed",
    "load_codec",
    "raw_bytes_of",
    "read_to_code",
    "require_coder",
    "working",
    "write_restored",
]

CodecFile = Annotated[Path, typer.Option("--model", "-m", metavar="CODEC", help="What narrows codec fit wrote.")]


def require_coder() -> None:
    """Refuse to begin without the library that codes, before anything is read."""
    from narrows.codec.engines import model_class

    model_class("any")


def is_compressed(path: Path) -> bool:
    """Say whether a file begins as compressed data does; one that cannot be read does not."""
    from narrows.codec.fileformat import MAGIC

    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def check_compressed_place(out: Path, *inputs: Path | None) -> None:
    """Refuse a compressed file that could not be written, or whose name says that it is a table."""
    from narrows.cli.files import check_place
    from narrows.tables.formats import format_of

    if format_of(out) is not None:
        raise CommandError(f"{out} is a name for data; give the compressed file another one, such as {out.stem}.nrw.")
    check_place(out, *inputs)


def load_codec(path: Path) -> Any:
    """Load a codec, and refuse a model of another class."""
    from narrows.cli.files import load_model

    require_coder()
    fitted = load_model(path, "cpu")
    if not hasattr(fitted, "compress"):
        raise CommandError(
            f"{path} holds the model class {type(fitted).__name__}, which compresses nothing: fit a codec with narrows "
            "codec fit."
        )
    return fitted


def read_to_code(data: str, columns: str | None) -> Any:
    """Return DATA as a codec takes it: a file by its path, so that big ones are read in pieces.

    Parameters
    ----------
    data : str
        A named data set, a file, or a folder of images.
    columns : str or None
        Columns of a file, with commas between them.
    """
    from narrows.cli import files

    place = files.file_of(data)
    wanted = None if columns is None else [name.strip() for name in columns.split(",")]
    if place is None:
        return files.read_data(data, wanted).images()
    if place.is_dir():
        from narrows.tables import open_segments

        # Says by the folder's own name what is wrong with it.
        open_segments(place)
    return place if wanted is None else _some_columns(place, wanted)


def _some_columns(path: Path, wanted: list[str]) -> Any:
    from narrows import tables
    from narrows.errors import DataError
    from narrows.tables.formats import DELIMITERS, format_of

    try:
        return tables.read(path, columns=wanted)
    except DataError:
        if path.is_dir() or format_of(path) not in (*DELIMITERS, "parquet"):
            raise
        # Perhaps there is text in them; if it is something else, that is said again.
        return tables.read_named(path, wanted)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on the standard error, if it is a terminal, that work goes on, and for how long."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    shown = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield


# What is restored


def write_restored(out: Path, found: Any, names: list[str] | None) -> None:
    """Write rows that were restored.

    Parameters
    ----------
    out : Path
        Its ending says the kind.
    found : ndarray, dict of ndarray or DataFrame
        What ``Codec.decompress`` gave.
    names : list of str or None
        Names of the columns of an array.
    """
    from narrows import tables
    from narrows.cli.columns import write_columns
    from narrows.tables.formats import format_of

    kind = format_of(out)
    if isinstance(found, dict):
        _refuse_mixed(out, kind)
        write_columns(out, list(found.values()), list(found))
    elif hasattr(found, "to_parquet"):
        _refuse_mixed(out, kind)
        _write_frame(out, found, str(kind))
    elif kind == "npy":
        _write_npy(out, found)
    else:
        tables.write(out, found if kind == "npz" else found.reshape(len(found), -1), columns=names)


def _refuse_mixed(out: Path, kind: str | None) -> None:
    if kind not in ("csv", "tsv", "parquet"):
        raise CommandError(f"{out} holds values of one type, and these columns differ: write .csv, .tsv or .parquet.")


def _write_npy(out: Path, array: Any) -> None:
    import numpy as np

    from narrows.io.atomic import atomic_write

    if array.dtype.kind == "O":
        raise CommandError(f"{out} cannot hold objects, which could run code when they are read: write .csv.")
    with atomic_write(out) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _write_frame(out: Path, frame: Any, kind: str) -> None:
    import pandas as pd

    from narrows.io.atomic import atomic_write

    with atomic_write(out) as temporary:
        if kind == "parquet":
            frame.to_parquet(temporary)
        else:
            kept = not isinstance(frame.index, pd.RangeIndex)
            frame.to_csv(temporary, sep="," if kind == "csv" else "\t", index=kept)


# In words


def bytes_in_words(size: float) -> str:
    """Return a number of bytes in words.

    Examples
    --------
    >>> bytes_in_words(1_234_567)
    '1.23 MB'
    """
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "bytes" else f"{size:.0f} bytes"
        size /= 1000
    return f"{size:.3g} GB"


def data_in_words(record: dict[str, Any]) -> str:
    """Say what compressed data is, of the record that ``narrows.codec.describe`` gives.

    Examples
    --------
    >>> data_in_words({"what": "pictures", "n_rows": 9, "image_shape": (28, 28), "shape": (9, 28, 28), "dtype": "|u1"})
    '9 pictures of 28 x 28 pixels'
    """
    from narrows.cli.files import shape_in_words

    n_rows = record["n_rows"]
    if record.get("image_shape"):
        return f"{n_rows:,} picture{'s' * (n_rows != 1)} of {shape_in_words(record['image_shape'])}"
    row = record["shape"][1:]
    said = " x ".join(f"{size:,}" for size in row) or "1"
    each = f"{said} column{'s' * (said != '1')}" if len(row) < 2 else f"{said} values"
    return f"{n_rows:,} row{'s' * (n_rows != 1)} of {each}, {_types_in_words(record['dtype'])}"


def _types_in_words(dtypes: str | list[str]) -> str:
    import numpy as np

    kinds = [dtypes] if isinstance(dtypes, str) else dtypes
    names = ["text" if kind[:1] in "U<>|=" and kind.lstrip("<>|=")[:1] in "UOS" else _name(np, kind) for kind in kinds]
    return ", ".join(dict.fromkeys(names))


def _name(np: Any, kind: str) -> str:
    # A frame's types may be pandas' own.
    try:
        return str(np.dtype(kind).name)
    except TypeError:
        return kind


def raw_bytes_of(record: dict[str, Any]) -> int | None:
    """Return how many bytes the values of compressed data take as they are, None where there is text among them."""
    import numpy as np

    dtypes = record["dtype"]
    kinds = [dtypes] * (record["n_values"] // max(1, record["n_rows"])) if isinstance(dtypes, str) else dtypes
    try:
        held = [np.dtype(kind) for kind in kinds]
    except TypeError:
        return None
    return None if any(kind.kind in "OUS" for kind in held) else record["n_rows"] * sum(kind.itemsize for kind in held)

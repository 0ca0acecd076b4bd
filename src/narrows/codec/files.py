"""Compressed files: opened, described, and restored into files of the kinds that narrows writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

from narrows.codec.columns.intake import layout_from_json
from narrows.codec.columns.layout import ArrayLayout, Layout
from narrows.codec.container.format import VERSION, FileReader
from narrows.data.output import check_writable, delimiter_of, write_table
from narrows.data.places import format_of
from narrows.errors import DataError
from narrows.io.atomic import atomic_write

if TYPE_CHECKING:
    from narrows.codec.blocks import Decoder

__all__ = ["describe", "description", "opened", "write_rows"]


@contextmanager
def opened(data: Any) -> Iterator[tuple[bytes | BinaryIO, str]]:
    """Give bytes as they are, and of a path the file, with what to call it in messages."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        yield bytes(data), "this data"
        return
    if not isinstance(data, (str, os.PathLike)):
        raise DataError(f"compressed data is bytes, or the path of a file, not {type(data).__name__}")
    path = Path(data)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    with file:
        yield file, str(path)


def describe(data: bytes | str | os.PathLike[str]) -> dict[str, Any]:
    """Return what compressed data says of itself, without the codec.

    Parameters
    ----------
    data : bytes or path-like
        What ``Codec.compress`` gave, or a file of it.

    Returns
    -------
    dict
        ``what`` it holds ("array", "pictures", "frame", "columns"), ``dtype``, ``shape``, ``columns``, ``n_rows``,
        ``n_values``, ``n_bytes``, ``bits_per_value``, ``n_blocks``, ``rows_per_block``, ``fingerprint`` of its codec,
        and the ``format``.

    Raises
    ------
    CodecFileError
        If it is foreign, newer, truncated or damaged in its head or table; blocks are not looked at.
    """
    with opened(data) as (source, what):
        reader = FileReader(source, what)
        return description(reader, layout_from_json(reader.head.description))


def description(reader: FileReader, layout: Layout) -> dict[str, Any]:
    """Return what an opened file says of itself."""
    values = reader.n_rows * layout.row_values
    return layout.describe(reader.n_rows) | {
        "n_rows": reader.n_rows,
        "n_values": values,
        "n_bytes": reader.size,
        "bits_per_value": 8.0 * reader.size / values if values else None,
        "n_blocks": len(reader.blocks),
        "rows_per_block": reader.head.rows_per_block,
        "fingerprint": reader.head.fingerprint.hex(),
        "format": VERSION,
    }


def write_rows(decoder: Decoder, target: str | os.PathLike[str]) -> None:
    """Write all rows of a container into a file, whole or not at all."""
    layout, kind = decoder.layout, format_of(target)
    if isinstance(layout, ArrayLayout) and kind == "npy":
        if layout.dtype.kind == "O":
            raise DataError(f"{target}: an .npy file of objects could run code when it is read: write .csv instead")
        with atomic_write(target) as temporary:
            _write_npy(decoder, layout, temporary)
    elif isinstance(layout, ArrayLayout):
        write_array(target, decoder.rows(None, "raise"), None if layout.names is None else list(layout.names))
    elif kind in ("text", "parquet") and check_writable(Path(target)):
        with atomic_write(target) as temporary:
            if kind == "parquet":
                _write_parquet(decoder, temporary)
            else:
                _write_text(decoder, temporary, delimiter_of(target))
    else:
        raise DataError(f"{target}: columns of several types go into .csv, .tsv or .parquet files")


def write_array(target: str | os.PathLike[str], rows: np.ndarray, names: list[str] | None) -> None:
    """Write an array into an npz file, or as a table."""
    if format_of(target) == "npz":
        with atomic_write(target) as temporary, temporary.open("wb") as stream:
            np.savez(stream, X=rows)
        return
    flat = rows.reshape(len(rows), -1)
    labels = names or [f"x{number}" for number in range(flat.shape[1])]
    write_table(target, pa.Table.from_arrays([pa.array(column) for column in flat.T], names=labels))


def _write_npy(decoder: Decoder, layout: ArrayLayout, file: Path) -> None:
    shape = (decoder.reader.n_rows, *layout.row_shape)
    if layout.order == "F" and len(shape) > 1 and shape[0]:
        array = np.lib.format.open_memmap(file, "w+", layout.dtype, shape, fortran_order=True)
        for first, last, rows in decoder.pieces():
            array[first:last] = rows
        array.flush()
        return
    header = {"descr": np.lib.format.dtype_to_descr(layout.dtype), "fortran_order": False, "shape": shape}
    with file.open("wb") as writer:
        np.lib.format.write_array_header_2_0(writer, header)
        for _, _, rows in decoder.pieces():
            writer.write(rows.tobytes())


def _frames(decoder: Decoder) -> Iterator[Any]:
    import pandas as pd

    for _, _, rows in decoder.pieces():
        yield pd.DataFrame(rows) if isinstance(rows, dict) else rows
    if not decoder.reader.n_rows:
        yield pd.DataFrame(decoder.rows(None, "raise"))


def _write_text(decoder: Decoder, file: Path, delimiter: str) -> None:
    import pandas as pd

    with file.open("w", encoding="utf-8", newline="") as writer:
        for number, frame in enumerate(_frames(decoder)):
            kept = not isinstance(frame.index, pd.RangeIndex)
            frame.to_csv(writer, sep=delimiter, index=kept, header=not number)


def _write_parquet(decoder: Decoder, file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for frame in _frames(decoder):
        table = pa.Table.from_pandas(frame, schema=None if writer is None else writer.schema)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()

"""Files as pieces of bounded size to fit and to compress, and restored rows as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.codec.layout import ArrayLayout, ColumnsLayout, Given, Layout, take
from narrows.errors import DataError
from narrows.io.atomic import atomic_write

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from narrows.codec.blocks import Decoder

__all__ = ["for_fit", "pieces_of", "write_rows"]

_PIECE_BYTES = 4 << 20
_FIT_BYTES = 256 << 20
_STRETCHES = 16


def pieces_of(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Yield a file's rows, a few megabytes at a time where its format can be read so.

    An ``.npy`` file keeps its type and shape; others come as :func:`narrows.tables.open_segments` reads them, and text
    columns as :func:`narrows.tables.read_named` does.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    yield from _pieces(path, None)


def _pieces(path: str | os.PathLike[str], most_bytes: int | None) -> Iterator[Any]:
    from narrows import tables
    from narrows.tables.formats import DELIMITERS, existing_file, format_of

    if not Path(path).is_dir():
        file = existing_file(path)
        kind = format_of(file)
        if kind == "npy":
            yield from _npy_pieces(file, most_bytes)
            return
        if not (kind == "parquet" or (kind in DELIMITERS and file.suffix.lower() != ".gz")):
            yield _read(path, named=kind in DELIMITERS)
            return
    try:
        opened = tables.open_segments(path)
    except DataError:
        # Perhaps there is text in it; reading says so, or what else is wrong.
        yield _read(path, named=True)
        return
    row = max(1, opened.n_features * opened.dtype.itemsize)
    segments = range(len(opened.segment_rows))
    if most_bytes is not None and len(segments) > 1:
        fitting = max(1, int(len(segments) * most_bytes / max(1, sum(opened.segment_rows) * row)))
        segments = segments[:: max(1, len(segments) // fitting)]
    for segment in segments:
        for piece in opened.read(segment, max(1, _PIECE_BYTES // row)):
            yield tables.Table(piece, opened.columns, opened.shape, opened.path)


def _read(path: str | os.PathLike[str], *, named: bool) -> Any:
    from narrows import tables

    try:
        return tables.read(path)
    except DataError:
        if not named:
            raise
        return tables.read_named(path)


def _npy_pieces(file: Path, most_bytes: int | None) -> Iterator[np.ndarray]:
    from narrows.tables.arrays import _load_npy

    array = _load_npy(file)
    if not array.ndim or not len(array):
        yield np.asarray(array)
        return
    row = max(1, array.itemsize * int(np.prod(array.shape[1:])))
    n_rows, step = len(array), max(1, _PIECE_BYTES // row)
    starts = range(0, n_rows, step)
    if most_bytes is not None and n_rows * row > most_bytes:
        starts = starts[:: max(1, n_rows * row // most_bytes)]
    del array
    for start in starts:
        # Mapped anew for each piece: the pages of a map that stays open count as this program's memory.
        yield np.array(_load_npy(file)[start : start + step], order="K", subok=False)


def for_fit(X: Any, image_shape: tuple[int, ...] | None) -> Given:
    """Take what is handed to a fit: data, or a file, of which a very big one is read in part.

    Raises
    ------
    DataError
        If it cannot be read, or has no rows.
    """
    from narrows.data.inputs import is_path

    if is_path(X):
        pieces = [take(piece, image_shape) for piece in _pieces(X, _FIT_BYTES)]
        given = Given(pieces[0].layout, [np.concatenate(p) for p in zip(*(g.parts for g in pieces), strict=True)])
    else:
        given = take(X, image_shape)
    if not given.n_rows:
        raise DataError("there are no rows to fit the codec to")
    return given


def write_rows(decoder: Decoder, target: str | os.PathLike[str]) -> None:
    """Write all rows of a container into a file, whole or not at all.

    Raises
    ------
    DataError
        If the name's ending is of no kind that holds such rows.
    """
    from narrows.tables.formats import format_of

    layout, n_rows = decoder.layout, decoder.reader.n_rows
    kind = format_of(Path(target))
    if isinstance(layout, ArrayLayout) and kind == "npy":
        if layout.dtype.kind == "O":
            raise DataError(f"{target}: an .npy file of objects could run code when it is read: write .csv instead")
        with atomic_write(target) as temporary:
            _write_npy(decoder, layout, n_rows, temporary)
    elif isinstance(layout, ArrayLayout):
        from narrows import tables

        found = decoder.rows(None, "raise")
        names = None if layout.names is None else list(layout.names)
        tables.write(target, found if kind == "npz" else found.reshape(n_rows, layout.row_values), columns=names)
    elif kind in ("csv", "tsv", "parquet"):
        with atomic_write(target) as temporary:
            _write_frames(decoder, layout, temporary, kind)
    else:
        raise DataError(f"{target}: columns of several types go into .csv, .tsv or .parquet files")


def _write_npy(decoder: Decoder, layout: ArrayLayout, n_rows: int, file: Path) -> None:
    shape = (n_rows, *layout.row_shape)
    if not n_rows:
        with file.open("wb") as opened:
            np.lib.format.write_array(opened, np.empty(shape, layout.dtype), allow_pickle=False)
        return
    header = {"descr": np.lib.format.dtype_to_descr(layout.dtype), "fortran_order": False, "shape": shape}
    if layout.order == "F" and len(shape) > 1:
        array = np.lib.format.open_memmap(file, "w+", layout.dtype, shape, fortran_order=True)
        for first, last, rows in decoder.pieces():
            array[first:last] = rows
        array.flush()
        return
    with file.open("wb") as opened:
        np.lib.format.write_array_header_2_0(opened, header)
        for _, _, rows in decoder.pieces():
            opened.write(rows.tobytes())


def _write_frames(decoder: Decoder, layout: Layout, file: Path, kind: str) -> None:
    import pandas as pd

    def frames() -> Iterator[Any]:
        for _, _, rows in decoder.pieces():
            yield pd.DataFrame(rows) if isinstance(layout, ColumnsLayout) else rows
        if not decoder.reader.n_rows:
            yield pd.DataFrame(decoder.rows(None, "raise"))

    if kind != "parquet":
        with file.open("w", encoding="utf-8", newline="") as opened:
            for number, frame in enumerate(frames()):
                kept = not isinstance(frame.index, pd.RangeIndex)
                frame.to_csv(opened, sep="," if kind == "csv" else "\t", index=kept, header=not number)
        return
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(f'{file} needs pyarrow, which is not installed: pip install "narrows[files]"') from None
    writer = None
    for frame in frames():
        table = pa.Table.from_pandas(frame, schema=None if writer is None else writer.schema)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()

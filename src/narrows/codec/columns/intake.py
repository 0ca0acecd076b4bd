"""The ways in: what people hand in is taken apart into a batch of columns; files are read in pieces."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from narrows.codec.columns.frames import ColumnsLayout, take_columns, take_frame
from narrows.codec.columns.layout import ArrayLayout, ColumnBatch, Layout, check_type, native
from narrows.errors import CodecFileError, DataError

__all__ = ["layout_from_json", "pieces_of", "take", "take_for_fit"]

_PIECE_BYTES = 4 << 20
_FIT_BYTES = 256 << 20


def take(X: Any, image_shape: tuple[int, ...] | None = None) -> ColumnBatch:
    """Take what is handed in apart."""
    from narrows.tables.table import Table

    if isinstance(X, ColumnBatch):
        return X
    if isinstance(X, Table):
        shape = image_shape or (X.shape if len(X.shape) in (2, 3) and X.values.dtype == np.uint8 else None)
        return _take_array(np.asarray(X.values), shape, None if X.columns is None else tuple(X.columns))
    home = type(X).__module__.partition(".")[0]
    if home == "pandas":
        return take_frame(X)
    if isinstance(X, dict):
        return take_columns(X)
    if home == "polars":
        raise DataError("a polars frame is not kept as one: give its to_pandas(), or write it to a Parquet file")
    if hasattr(X, "tocsr"):
        raise DataError("a sparse matrix is not kept as one: give its toarray()")
    if isinstance(X, np.ma.MaskedArray):
        raise DataError("a masked array is not kept as one: give its filled(), or a float array with NaN")
    return _take_array(np.asarray(X), image_shape, None)


def _take_array(array: np.ndarray, image_shape: tuple[int, ...] | None, names: tuple[str, ...] | None) -> ColumnBatch:
    if array.ndim == 0:
        raise DataError("a single value is not rows: give an array of one dimension or more")
    check_type(array.dtype)
    n, row_shape = len(array), array.shape[1:]
    values = math.prod(row_shape)
    if not values:
        raise DataError(f"an array of shape {array.shape} has no columns")
    if names is not None and len(names) != values:
        names = None
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    picture = _picture(array, image_shape)
    if picture is not None:
        layout = ArrayLayout(array.dtype, row_shape, order, picture, names)
        return ColumnBatch(layout, [np.reshape(array, (n, *picture))])
    flat = native(array.reshape(n, values))
    layout = ArrayLayout(array.dtype, row_shape, order if array.ndim == 2 else "C", None, names)
    return ColumnBatch(layout, [flat[:, number] for number in range(values)])


def _picture(array: np.ndarray, image_shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Return the shape of the pictures that rows are, None if they are none."""
    own = array.shape[1:]
    if array.dtype != np.uint8:
        return None
    if image_shape is None:
        return own if array.ndim == 3 or (array.ndim == 4 and own[2] <= 4) else None
    shape = tuple(int(size) for size in image_shape)
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise DataError(f"image_shape must be height and width, and perhaps channels, not {image_shape}")
    thick = [[size for size in sizes if size > 1] for sizes in (own, shape)]
    if math.prod(shape) != math.prod(own) or (len(own) > 1 and thick[0] != thick[1]):
        raise DataError(f"rows of shape {own} are no pictures of image_shape {shape}")
    return shape


def layout_from_json(record: Any) -> Layout:
    """Rebuild a layout from what its `to_json` gave."""
    try:
        return ArrayLayout.from_json(*record) if isinstance(record, list) else ColumnsLayout.from_json(record)
    except CodecFileError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, SyntaxError) as error:
        raise CodecFileError(f"what the data is cannot be read ({error})") from None


def pieces_of(path: str | os.PathLike[str], most_bytes: int | None = None) -> Iterator[Any]:
    """Yield a file's rows, a few megabytes at a time where its format can be read so, evenly spread at ``most_bytes``.

    An ``.npy`` file keeps its type and shape; others come as :func:`narrows.tables.open_segments` reads them, and text
    columns as :func:`narrows.tables.read_named` does.
    """
    from narrows import tables
    from narrows.tables.formats import DELIMITERS, existing_file, format_of

    if not Path(path).is_dir():
        file = existing_file(path)
        kind = format_of(file)
        if kind == "npy":
            yield from _npy_pieces(file, most_bytes)
            return
        if not (kind == "parquet" or (kind in DELIMITERS and file.suffix.lower() != ".gz")):
            yield _read(path) if kind in DELIMITERS else tables.read(path)
            return
    try:
        opened = tables.open_segments(path)
    except DataError:
        # Perhaps there is text in it; reading says so, or what else is wrong.
        yield _read(path)
        return
    row = max(1, opened.n_features * opened.dtype.itemsize)
    for segment in _some(range(len(opened.segment_rows)), sum(opened.segment_rows) * row, most_bytes):
        for piece in opened.read(segment, max(1, _PIECE_BYTES // row)):
            yield tables.Table(piece, opened.columns, opened.shape, opened.path)


def _some(items: range, n_bytes: int, most_bytes: int | None) -> range:
    """Return evenly spaced items of as many bytes as there may be, about."""
    return items if most_bytes is None else items[:: max(1, -(-n_bytes // most_bytes))]


def _read(path: str | os.PathLike[str]) -> Any:
    from narrows import tables

    try:
        return tables.read(path)
    except DataError:
        return tables.read_named(path)


def _npy_pieces(file: Path, most_bytes: int | None) -> Iterator[np.ndarray]:
    from narrows.tables.arrays import _load_npy

    array = _load_npy(file)
    if not array.ndim or not len(array):
        yield np.asarray(array)
        return
    step = max(1, _PIECE_BYTES // max(1, array.itemsize * math.prod(array.shape[1:])))
    starts = _some(range(0, len(array), step), array.nbytes, most_bytes)
    del array
    for start in starts:
        # Mapped anew for each piece: the pages of a map that stays open count as this program's memory.
        yield np.array(_load_npy(file)[start : start + step], order="K", subok=False)


def take_for_fit(X: Any, image_shape: tuple[int, ...] | None) -> ColumnBatch:
    """Take what is handed to a fit: data, or a file, of which a very big one is read in part."""
    from narrows.data.inputs import is_path

    if is_path(X):
        pieces = [take(piece, image_shape) for piece in pieces_of(X, _FIT_BYTES)]
        parts = zip(*(piece.parts for piece in pieces), strict=True)
        batch = ColumnBatch(pieces[0].layout, [np.concatenate(part) for part in parts])
    else:
        batch = take(X, image_shape)
    if not batch.n_rows:
        raise DataError("there are no rows to fit the codec to")
    return batch

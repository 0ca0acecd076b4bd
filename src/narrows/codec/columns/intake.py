"""The ways in: what people hand in is taken apart into a batch of columns; files are read in pieces."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.types as pt

from narrows.codec.columns.frames import ColumnsLayout, take_columns, take_frame
from narrows.codec.columns.layout import ArrayLayout, ColumnBatch, Layout, check_type, native
from narrows.data.arrays import load_npy
from narrows.data.columns import array_of, read_columns
from narrows.data.inputs import is_path, is_table, open_rows
from narrows.data.opening import open_source
from narrows.data.places import Place, find_places, format_of, is_text
from narrows.data.source import BATCH_ROWS, Source
from narrows.errors import CodecFileError, DataError

__all__ = ["layout_from_json", "pieces_of", "take", "take_for_fit"]

_PIECE_BYTES = 4 << 20
_FIT_BYTES = 256 << 20


@dataclass(frozen=True)
class NamedRows:
    """Rows of numbers of one type, and the names of their columns."""

    values: np.ndarray
    names: tuple[str, ...] | None


def take(X: Any, image_shape: tuple[int, ...] | None = None) -> ColumnBatch:
    """Take what is handed in apart."""
    if isinstance(X, ColumnBatch):
        return X
    if isinstance(X, NamedRows):
        return _take_array(X.values, image_shape, X.names)
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


def pieces_of(path: Any, most_bytes: int | None = None, **options: Any) -> Iterator[Any]:
    """Yield a file's rows, a few megabytes at a time where its format can be read so, evenly spread at ``most_bytes``.

    An ``.npy`` file keeps its type and shape, images are arrays of them, and a table comes as columns; ``options`` are
    those of :func:`narrows.data.opening.open_source`.
    """
    if is_table(path):
        # "NA" is a text here, which comes back as one.
        missing = {"missing_values": [""]} if is_text(path) else {}
        yield from _table_pieces(open_source(path, **missing | options), most_bytes)
        return
    if format_of(path) == "npy":
        [place] = find_places(path)[0]
        yield from _npy_pieces(place, most_bytes)
        return
    found = open_rows(path)
    if isinstance(found, np.ndarray):
        yield found
        return
    row = max(1, found.n_features * found.dtype.itemsize)
    for segment in _some(range(len(found.segment_rows)), sum(found.segment_rows) * row, most_bytes):
        for piece in found.read(segment, max(1, _PIECE_BYTES // row)):
            yield piece.reshape(len(piece), *found.shape)


def _table_pieces(source: Source, most_bytes: int | None) -> Iterator[Any]:
    """Yield the rows of a table: as one array where all columns are numbers of one type, otherwise as columns."""
    schema, dtypes = source.arrow_schema, _dtypes(source)
    if dtypes is None:
        # Text of a later piece may be longer than that of the first.
        yield read_columns(source)
        return
    names = tuple(schema.names) if source.origin.named else None
    batches = max(1, -(-(source.n_rows or 0) // BATCH_ROWS))
    chosen = set(_some(range(batches), batches * BATCH_ROWS * 8 * len(schema), most_bytes))
    for number, batch in enumerate(source.batches()):
        if number in chosen:
            columns = [array_of(c).astype(t, copy=False) for c, t in zip(batch.columns, dtypes, strict=True)]
            together = len(set(dtypes)) == 1
            yield (
                NamedRows(np.column_stack(columns), names)
                if together
                else dict(zip(schema.names, columns, strict=True))
            )


def _dtypes(source: Source) -> list[np.dtype] | None:
    """Return numpy's types for columns of numbers, floats where some are missing; None if any are others."""
    kinds = [column.type for column in source.arrow_schema]
    if not all(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_boolean(kind) for kind in kinds):
        return None
    dtypes = [np.dtype(kind.to_pandas_dtype()) for kind in kinds]
    whole = [name for name, dtype in zip(source.arrow_schema.names, dtypes, strict=True) if dtype.kind in "iub"]
    gaps: set[str] = set()
    for batch in source.batches(whole) if whole else ():
        for name in [name for name in whole if batch.column(name).null_count]:
            gaps.add(name)
            if array_of(batch.column(name)).dtype.kind == "U":
                return None
    names = source.arrow_schema.names
    return [np.dtype(float) if name in gaps else dtype for name, dtype in zip(names, dtypes, strict=True)]


def _some(items: range, n_bytes: int, most_bytes: int | None) -> range:
    """Return evenly spaced items of as many bytes as there may be, about."""
    return items if most_bytes is None else items[:: max(1, -(-n_bytes // most_bytes))]


def _npy_pieces(place: Place, most_bytes: int | None) -> Iterator[np.ndarray]:
    array = load_npy(place)
    if not array.ndim or not len(array):
        yield np.asarray(array)
        return
    step = max(1, _PIECE_BYTES // max(1, array.itemsize * math.prod(array.shape[1:])))
    starts = _some(range(0, len(array), step), array.nbytes, most_bytes)
    del array
    for start in starts:
        # Mapped anew for each piece: the pages of a map that stays open count as this program's memory.
        yield np.array(load_npy(place)[start : start + step], order="K", subok=False)


def take_for_fit(X: Any, image_shape: tuple[int, ...] | None) -> ColumnBatch:
    """Take what is handed to a fit: data, or a file, of which a very big one is read in part."""
    if is_path(X):
        pieces = [take(piece, image_shape) for piece in pieces_of(X, _FIT_BYTES)]
        parts = zip(*(piece.parts for piece in pieces), strict=True)
        batch = ColumnBatch(pieces[0].layout, [np.concatenate(part) for part in parts])
    else:
        batch = take(X, image_shape)
    if not batch.n_rows:
        raise DataError("there are no rows to fit the codec to")
    return batch

"""What people hand to an estimator becomes rows of numbers: arrays as they are, tables by a schema."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator

from narrows.data.arrays import ArrayFile, open_array
from narrows.data.encoding import Encoding
from narrows.data.folders import ImageFolder
from narrows.data.places import find_places, format_of, is_text
from narrows.data.rows import ArrayRows, Rows, SparseRows
from narrows.data.schema import Column, Schema
from narrows.data.source import Source
from narrows.data.streams import StreamRows
from narrows.data.table import Table, read
from narrows.errors import ColumnsLeftOutWarning, DataError, UnlikeTrainingDataWarning

__all__ = [
    "ValidatedInput",
    "group_column",
    "is_path",
    "is_table",
    "match_columns",
    "open_later",
    "open_rows",
    "picked_rows",
    "take_rows",
    "validate_clean_rows",
    "validate_rows",
]

STREAM_BYTES = 256 * 2**20
"""A file whose numbers would take more is read as a stream."""


@dataclass(frozen=True)
class ValidatedInput:
    """Validated input.

    ``rows`` are in the data's own type, ``float_dtype`` is that of what is returned for them (float64 for float64 and
    wide integers, otherwise float32), ``row_shape`` that of one row before it was laid out flat; ``source`` and
    ``encoding`` are those of a table, None for arrays.
    """

    rows: Rows
    float_dtype: np.dtype
    row_shape: tuple[int, ...]
    source: Source | None = None
    encoding: Encoding | None = None


def is_path(X: Any) -> bool:
    """Say whether ``X`` names a file."""
    return isinstance(X, (str, os.PathLike))


def is_table(X: Any) -> bool:
    """Say whether something has columns, rather than being an array, images, or a file of these."""
    from narrows.data.opening import is_tabular

    if is_path(X) and format_of(X) in ("npy", "npz", "idx"):
        return False
    return is_tabular(X)


def validate_rows(
    estimator: BaseEstimator, X: Any, *, reset: bool, allow_missing: bool, others: bool = False
) -> ValidatedInput:
    """Validate input as scikit-learn does, without copying it or changing its type.

    A table is encoded by its schema, which a fit (``reset``) learns and keeps as ``schema_``; later tables are matched
    to it by the names of their columns. ``others`` gives categories that the fit has not seen a place of their own.
    """
    given = _opened(estimator, X, reset=reset)
    if isinstance(given, (ImageFolder, ArrayFile)):
        return _from_segments(estimator, given, reset=reset)
    if isinstance(given, Table):
        return _from_table(estimator, given, reset=reset, allow_missing=allow_missing, others=others)
    if isinstance(given, Source):
        return _from_source(estimator, given, allow_missing=allow_missing, others=others)
    return _from_array(estimator, given, reset=reset, allow_missing=allow_missing)


def _opened(estimator: BaseEstimator, X: Any, *, reset: bool) -> Any:
    """Return a table (of a fit, with its schema), a source (for a fitted model), segments of images, or an array."""
    from narrows.data.opening import open_source

    if isinstance(X, (Table, Source, ImageFolder, ArrayFile)):
        return X
    if not is_table(X):
        return open_rows(X) if is_path(X) else X
    if reset:
        return read(X)
    schema = getattr(estimator, "schema_", None)
    return open_source(X) if schema is None else open_later(X, schema)


def open_later(X: Any, schema: Schema, **options: Any) -> Source:
    """Open a table as that of the fit was, where both are text; ``options`` overrule."""
    from narrows.data.opening import open_source

    return open_source(X, **(schema.options if is_text(X) else {}) | options)


def open_rows(path: Any, *, array: str | None = None, stream: bool | None = None) -> Any:
    """Open a file of one array or a folder of images: as an array, or where it is large to be read in pieces."""
    if os.path.isdir(path):  # noqa: PTH112 - it may be a URL
        found: Any = ImageFolder(Path(path))
    else:
        [place] = find_places(path)[0]
        if place.kind != "npy" or stream is False:
            if stream:
                raise DataError(f"{path} cannot be read in pieces; tables, folders of images and .npy files can")
            return open_array(place, array)
        found = ArrayFile(place)
    large = sum(found.segment_rows) * found.n_features * found.dtype.itemsize > STREAM_BYTES
    if large if stream is None else stream:
        return found
    return found.images() if isinstance(found, ImageFolder) else open_array(found.place, array)


def _from_segments(estimator: Any, segments: Any, *, reset: bool) -> ValidatedInput:
    """Take the rows of a file of one array, or of a folder of images, in pieces."""
    if reset:
        estimator.n_features_in_ = segments.n_features
        _forget_names(estimator)
    elif segments.n_features != estimator.n_features_in_:
        have, want = segments.n_features, estimator.n_features_in_
        raise DataError(f"{segments.name} has {have} columns, but the model was fitted to {want}")
    return ValidatedInput(StreamRows(segments), _float_dtype(segments.dtype), tuple(segments.shape))


def _forget_names(estimator: Any) -> None:
    """Forget what a fit before this one knew of columns."""
    for name in ("feature_names_in_", "schema_"):
        estimator.__dict__.pop(name, None)


def _from_array(estimator: BaseEstimator, X: Any, *, reset: bool, allow_missing: bool) -> ValidatedInput:
    from scipy.sparse import csr_array, issparse
    from sklearn.utils.validation import validate_data

    if not reset and (known := getattr(estimator, "schema_", None)) is not None and Encoding.learn(known).sizes:
        raise DataError("the model was fitted to a table with categories: give a table with the same columns")
    X, row_shape = _flat(X)
    finite: bool | str = "allow-nan" if allow_missing else True
    checked = validate_data(estimator, X, reset=reset, accept_sparse="csr", dtype="numeric", ensure_all_finite=finite)
    if reset:
        estimator.__dict__.pop("schema_", None)
    rows: Rows = SparseRows(csr_array(checked)) if issparse(checked) else ArrayRows(checked)
    return ValidatedInput(rows, _float_dtype(checked.dtype), row_shape or (rows.n_features,))


def _flat(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Lay an array of images out as rows; return with it the shape of one of them, None for a plain table."""
    shape: Any = getattr(X, "shape", ())
    if len(shape) <= 2 or not hasattr(X, "reshape"):
        return X, None
    if len(shape) > 4:
        raise DataError(f"rows may be images, (n, height, width) or (n, height, width, channels), not of shape {shape}")
    return X.reshape(shape[0], -1) if shape[0] else np.empty((0, 1)), tuple(int(size) for size in shape[1:])


def first_names(names: Sequence[str], most: int = 12) -> str:
    """List names, the first of many only."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more


def validate_clean_rows(estimator: Any, y: Any, given: ValidatedInput, *, allow_missing: bool) -> Rows | None:
    """Validate the clean rows that may be handed in beside noisy ones."""
    shape: Any = getattr(y, "shape", ())
    if isinstance(y, (Table, Source)) or (given.encoding is not None and len(shape) == 2 and is_table(y)):
        rows = validate_rows(estimator, y, reset=False, allow_missing=allow_missing).rows
        shape = (rows.n_rows, rows.n_features)
    elif len(shape) < 2:
        return None
    alike = (int(shape[0]), int(np.prod(shape[1:]))) == (given.rows.n_rows, given.rows.n_features)
    if isinstance(given.rows, StreamRows) or not alike:
        warnings.warn(
            f"y of shape {tuple(shape)} is not used: clean rows to learn from have the shape of X, "
            f"({given.rows.n_rows}, {given.rows.n_features})",
            UserWarning,
            stacklevel=3,
        )
        return None
    return validate_rows(estimator, y, reset=False, allow_missing=allow_missing).rows


def _float_dtype(dtype: np.dtype) -> np.dtype:
    narrow = (dtype.kind == "f" and dtype.itemsize <= 4) or (dtype.kind in "iub" and dtype.itemsize <= 2)
    return np.dtype(np.float32 if narrow else np.float64)


def _from_table(estimator: Any, table: Table, *, reset: bool, allow_missing: bool, others: bool) -> ValidatedInput:
    """Encode a table: by its own schema in a fit, otherwise by that of the fit."""
    if not reset:
        return _from_source(estimator, table.source, allow_missing=allow_missing, others=others, stream=table.stream)
    encoding = Encoding.learn(table.schema, others=others)
    _forget_names(estimator)
    estimator.n_features_in_ = len(encoding.columns)
    if table.source.origin.named:
        estimator.feature_names_in_ = np.asarray(encoding.names, dtype=object)
    estimator.schema_ = table.schema
    if any(column.kind != "index" for column in table.schema.left_out):
        warnings.warn("; ".join(table.schema.describe_left_out()), ColumnsLeftOutWarning, stacklevel=5)
    rows = _encoded(table.source, encoding, table.segment_rows, stream=table.stream)
    return _checked(rows, encoding, table.source, allow_missing=allow_missing)


def _from_source(
    estimator: Any, source: Source, *, allow_missing: bool, others: bool = False, stream: bool | None = None
) -> ValidatedInput:
    """Encode new rows by the schema of the fit."""
    schema = getattr(estimator, "schema_", None)
    if schema is None:
        encoding = _by_position(estimator, source)
    else:
        encoding = Encoding.learn(schema, others=others)
        match_columns(source, schema)
    rows = _encoded(source, encoding, None, stream=stream)
    return _checked(rows, encoding, source, allow_missing=allow_missing)


def match_columns(source: Source, schema: Schema) -> None:
    """Refuse a table that lacks columns of the fit, and name those that the fit has not seen."""
    names = source.arrow_schema.names
    wanted = [column.name for column in schema.features]
    if missing := [name for name in wanted if name not in names]:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        what = source.origin.place or "the table"
        raise DataError(f"{what} lacks the column {missing[0]!r}{more} of the fit; it has {first_names(names)}")
    if extra := [name for name in names if name not in schema.names and name not in source.index_columns]:
        warnings.warn(
            f"columns that the fit has not seen are not used: {first_names(extra)}",
            UnlikeTrainingDataWarning,
            stacklevel=6,
        )


def _by_position(estimator: Any, source: Source) -> Encoding:
    """Take the columns of a table, for a model that was fitted to an array, by their positions."""
    names = [name for name in source.arrow_schema.names if name not in source.index_columns]
    known = getattr(estimator, "feature_names_in_", None)
    if known is not None and set(map(str, known)) <= set(names):
        names = [str(name) for name in known]
    if len(names) != estimator.n_features_in_:
        raise DataError(f"the table has {len(names)} columns, but the model was fitted to {estimator.n_features_in_}")
    kinds = source.arrow_schema
    return Encoding([Column(name, "number", "by its position", str(kinds.field(name).type)) for name in names])


class EncodedSegments:
    """The rows of a source as numbers, in parts that can be read on their own, each in pieces of bounded size."""

    segment_rows: Sequence[int]

    def __init__(self, source: Source, encoding: Encoding, segment_rows: list[int], dtype: np.dtype) -> None:
        self.segment_rows, self.dtype = segment_rows, dtype
        self.n_features = encoding.n_values
        self._source, self._encoding = source, encoding
        self._starts = np.concatenate([[0], np.cumsum(segment_rows)])

    def read(self, segment: int, piece_rows: int) -> Iterator[np.ndarray]:
        """Yield a segment's rows in order."""
        start = int(self._starts[segment])
        for batch in self._source.segment(segment, self._encoding.names, piece_rows):
            yield self._encoding.encode(batch, start).astype(self.dtype, copy=False)
            start += len(batch)


def _encoded(source: Source, encoding: Encoding, segment_rows: list[int] | None, *, stream: bool | None) -> Rows:
    """Turn a source into rows of numbers, in memory where they are not too many."""
    # Of a table that is not the fit's nobody has looked where values are missing.
    dtype = encoding.dtype(source.arrow_schema, gaps=segment_rows is None)
    if segment_rows is None:
        segment_rows = source.segment_rows()
    n_rows = sum(segment_rows)
    if stream is None:
        stream = source.origin.library == "file" and n_rows * encoding.n_values * dtype.itemsize > STREAM_BYTES
    if stream:
        return StreamRows(EncodedSegments(source, encoding, segment_rows, dtype))
    values = np.empty((n_rows, encoding.n_values), dtype)
    start = 0
    for batch in source.batches(encoding.names):
        values[start : start + len(batch)] = encoding.encode(batch, start)
        start += len(batch)
    return ArrayRows(values)


def _checked(rows: Rows, encoding: Encoding, source: Source, *, allow_missing: bool) -> ValidatedInput:
    """Refuse rows that hold infinity or, where they may not, gaps; a stream is looked at while it is read."""
    if not rows.n_rows:
        raise DataError("the table has no rows")
    if isinstance(rows, ArrayRows) and rows.dtype.kind == "f":
        for block in rows.blocks(1 << 16):
            values = block.numpy()
            bad = np.isinf(values) if allow_missing else ~np.isfinite(values)
            if bad.any():
                number = int(bad.any(0).argmax())
                name = encoding.value_names[number].partition("=")[0]
                if np.isinf(values[:, number]).any():
                    raise DataError(f"column {name!r} has infinite values: make them missing, or leave those rows out")
                raise DataError(
                    f"column {name!r} has missing values: missing='mask' learns around them, or fill them in first"
                )
    return ValidatedInput(rows, _float_dtype(rows.dtype), (rows.n_features,), source, encoding)


def picked_rows(X: Any, numbers: np.ndarray, at_once: int) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield the rows with these rising numbers, some at a time, with their numbers; a file is read once.

    Rows of a table come as an Arrow table, of a pandas frame as a frame, others as an array.
    """
    given = X.source if isinstance(X, Table) else X
    if is_table(given) and not hasattr(given, "iloc"):
        given = _source(given)
    elif is_path(given):
        given = open_rows(given)
    if isinstance(given, Source):
        blocks: Any = given.batches(batch_rows=at_once)
    elif isinstance(given, (ImageFolder, ArrayFile)):
        blocks = (block.numpy() for block in StreamRows(given).blocks(at_once))
    else:
        for start in range(0, len(numbers), at_once):
            some = numbers[start : start + at_once]
            yield some, given.iloc[some] if hasattr(given, "iloc") else _dense(given, some)
        return
    start = 0
    for block in blocks:
        some = numbers[slice(*np.searchsorted(numbers, (start, start + len(block))))]
        if len(some) and isinstance(block, np.ndarray):
            yield some, block[some - start]
        elif len(some):
            yield some, pa.Table.from_batches([block.take(pa.array(some - start))])
        start += len(block)


def take_rows(X: Any, numbers: np.ndarray) -> Any:
    """Return the rows with these rising numbers in one piece, as :func:`picked_rows` gives them."""
    parts = [rows for _, rows in picked_rows(X, numbers, max(len(numbers), 1 << 14))]
    if isinstance(parts[0], pa.Table):
        return pa.concat_tables(parts)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _dense(X: Any, numbers: np.ndarray) -> np.ndarray:
    found: np.ndarray = X.tocsr()[numbers].toarray() if hasattr(X, "tocsr") else np.asarray(X)[numbers]
    return found


def _source(X: Any) -> Source:
    from narrows.data.opening import open_source

    return X if isinstance(X, Source) else open_source(X)


def group_column(source: Source, schema: Schema) -> np.ndarray | None:
    """Return what tells the groups of a table's rows apart, None where none of its columns is a group."""
    names = [column.name for column in schema.columns if column.kind == "group"]
    if not names:
        return None
    return np.array(["\x1f".join(map(str, row.values())) for row in source.table(names).to_pylist()])

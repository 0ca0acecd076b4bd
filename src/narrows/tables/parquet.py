"""Parquet files in pieces; reading one whole is reading all its pieces into one array."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from narrows.errors import DataError
from narrows.tables.arrow import matrix
from narrows.tables.columns import choose, named
from narrows.tables.table import SegmentedFile, Table

__all__ = ["ParquetSegments", "read_parquet"]

# What each column reads ahead, of its compressed bytes. Larger buys nothing and is paid for once per column.
_BUFFER_BYTES = 1 << 16
# Smaller batches cost more in calls per column than in copying, so short pieces are cut out of longer
# batches.
_BATCH_ROWS = 8192
_BATCH_BYTES = 4 << 20


class ParquetSegments(SegmentedFile):
    """A Parquet file read in pieces; a segment is a row group."""

    def __init__(self, path: Path, columns: Sequence[str | int] | None = None) -> None:
        self.path = path
        with self._open() as file:
            schema = file.schema_arrow
            metadata = file.metadata
            positions = choose(columns, schema.names, len(schema.names), str(path))
            if not positions:
                raise DataError(f"{path} has no columns.")
            self.columns = named(positions, schema.names)
            for position in positions:
                if schema.names.count(schema.names[position]) > 1:
                    raise DataError(f"{path} has more than one column named {schema.names[position]!r}.")
            self._groups = [g for g in range(metadata.num_row_groups) if metadata.row_group(g).num_rows]
            self.dtype = np.result_type(*(_column_dtype(schema.field(p), metadata, path) for p in positions))
            self.segment_rows = [metadata.row_group(group).num_rows for group in self._groups]
        if not self._groups:
            raise DataError(f"{path} has no rows.")
        self.n_features = len(positions)
        self.shape = (self.n_features,)

    def _open(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self.path, pre_buffer=False, memory_map=False, buffer_size=_BUFFER_BYTES)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.path} is not a whole Parquet file: {error}") from error

    def read(self, segment: int, piece_rows: int) -> Iterator[np.ndarray]:
        """Yield a segment's rows in file order; null is NaN."""
        import pyarrow as pa

        fitting = _BATCH_BYTES // (self.n_features * self.dtype.itemsize)
        batch_rows = max(piece_rows, min(_BATCH_ROWS, fitting))
        batch_rows -= batch_rows % piece_rows  # so that only the last piece is short
        try:
            with self._open() as file:
                batches = file.iter_batches(batch_rows, row_groups=[self._groups[segment]], columns=self.columns)
                for batch in batches:
                    # The order asked for is a promise, whatever order Arrow reads in.
                    rows = matrix(batch.select(self.columns), self.dtype)
                    for start in range(0, len(rows), piece_rows):
                        yield rows[start : start + piece_rows]
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.path} is damaged: {error}") from error
        finally:
            pa.default_memory_pool().release_unused()


def _column_dtype(field: Any, metadata: Any, path: Path) -> np.dtype:
    """Return the type that holds a column's numbers, and its nulls if it can have any."""
    import pyarrow as pa

    kind = field.type
    if pa.types.is_null(kind) or pa.types.is_decimal(kind):
        return np.dtype(np.float64)
    dtype: np.dtype
    if pa.types.is_boolean(kind):
        dtype = np.dtype(np.uint8)
    elif pa.types.is_float16(kind):
        dtype = np.dtype(np.float32)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        dtype = np.dtype(kind.to_pandas_dtype())
    else:
        raise DataError(
            f"{path}: column {field.name!r} holds values of type {kind}, which are not numbers. To leave "
            f"that column out, name the columns to read: columns=[...]."
        )
    if dtype.kind in "iu" and _may_have_nulls(field, metadata):
        # float32 holds every whole number of 16 bits.
        return np.result_type(dtype, np.float32)
    return dtype


def _may_have_nulls(field: Any, metadata: Any) -> bool:
    """Whether the file fails to say that a column has no nulls, in any of its row groups."""
    if not field.nullable:
        return False
    first = metadata.row_group(0) if metadata.num_row_groups else None
    if first is None:
        return False
    index = next(k for k in range(first.num_columns) if first.column(k).path_in_schema == field.name)
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(index).statistics
        if statistics is None or not statistics.has_null_count or statistics.null_count:
            return True
    return False


def read_parquet(path: Path, columns: Sequence[str | int] | None) -> Table:
    """Read a whole Parquet file, without a second copy of it on the way."""
    file = ParquetSegments(path, columns)
    values = np.empty((sum(file.segment_rows), file.n_features), file.dtype)
    start = 0
    for segment in range(len(file.segment_rows)):
        for piece in file.read(segment, _BATCH_ROWS):
            values[start : start + len(piece)] = piece
            start += len(piece)
    return Table(values, file.columns, file.shape, path)

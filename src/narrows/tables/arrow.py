"""What pyarrow does for the other modules: turning its batches into arrays, and parsing text fast."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from narrows.tables.text import MISSING, Head

__all__ = ["matrix", "parse_chunk", "parse_file"]


def matrix(batch: Any, dtype: np.dtype) -> np.ndarray:
    """Turn a record batch into rows."""
    import pyarrow as pa

    target = pa.from_numpy_dtype(dtype)
    columns = [column if column.type == target else column.cast(target, safe=False) for column in batch.columns]
    same = pa.RecordBatch.from_arrays(columns, names=[str(k) for k in range(len(columns))])
    # Arrow's own transposition is about three times as fast as copying column after column with numpy.
    rows: np.ndarray = same.to_tensor(null_to_nan=dtype.kind == "f", row_major=True).to_numpy()
    return rows


def _read_csv(source: Any, head: Head, positions: Sequence[int], *, skip: int, types: Any, newlines: bool) -> Any:
    """Read columns of text with pyarrow, named by position because names in a file may repeat."""
    from pyarrow import csv

    names = [str(position) for position in range(head.n_columns)]
    return csv.read_csv(
        source,
        read_options=csv.ReadOptions(column_names=names, skip_rows=skip),
        parse_options=csv.ParseOptions(delimiter=head.delimiter, newlines_in_values=newlines),
        convert_options=csv.ConvertOptions(
            include_columns=[names[position] for position in positions],
            column_types=types,
            null_values=list(MISSING),
            quoted_strings_can_be_null=True,
        ),
    )


def _as_floats(head: Head) -> dict[str, Any]:
    import pyarrow as pa

    return {str(position): pa.float64() for position in range(head.n_columns)}


def parse_file(path: Path, head: Head, positions: Sequence[int]) -> np.ndarray | None:
    """Read a whole text table with pyarrow; None if it finds anything in it that is not a number."""
    import pyarrow as pa

    try:
        # Types are found from all rows: whole numbers followed by others far down make floats.
        table = _read_csv(path, head, positions, skip=head.lines, types=None, newlines=True)
    except (pa.ArrowException, OSError):
        return None
    if any(not (_is_numeric(kind) or pa.types.is_null(kind)) for kind in table.schema.types):
        return None
    whole = all(not pa.types.is_floating(column.type) and column.null_count == 0 for column in table.columns)
    dtype = np.dtype(np.int64 if whole else np.float64)
    values = np.empty((table.num_rows, table.num_columns), dtype)
    start = 0
    for batch in table.to_batches():
        values[start : start + batch.num_rows] = matrix(batch, dtype)
        start += batch.num_rows
    return values if len(values) else None


def parse_chunk(content: bytes, head: Head, positions: Sequence[int]) -> np.ndarray | None:
    """Parse some lines of a text table into float64; None if anything in them is not a number."""
    import pyarrow as pa

    table = None
    # Truth values do not pass for floats, so types are looked for where there are such.
    for types in (_as_floats(head), None):
        try:
            table = _read_csv(pa.BufferReader(content), head, positions, skip=0, types=types, newlines=False)
            break
        except (pa.ArrowException, OSError):
            continue
    if table is None or any(not (_is_numeric(kind) or pa.types.is_null(kind)) for kind in table.schema.types):
        return None
    values = np.empty((table.num_rows, table.num_columns), np.float64)
    start = 0
    for batch in table.to_batches():
        values[start : start + batch.num_rows] = matrix(batch, values.dtype)
        start += batch.num_rows
    return values


def _is_numeric(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))

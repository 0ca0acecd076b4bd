"""The columns of a table as arrays by their names, for what has no use for a schema: logs, titles, archives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from narrows.data.opening import open_source
from narrows.data.source import Source

__all__ = ["array_of", "read_columns"]

_NARROW = 64
"""Texts of no more characters are held side by side; one long text would make all of them as wide."""

_EXACT = 2**53


def read_columns(data: Any, **options: Any) -> dict[str, np.ndarray]:
    """Read a table into arrays, each of its own type; columns without a name are called by their position.

    Parameters
    ----------
    data : path, frame, or anything else that :func:`narrows.data.open_source` takes
    **options
        Its options.

    Examples
    --------
    >>> read_columns({"id": ["007", "7"], "n": [1, 2]})["id"].tolist()
    ['007', '7']
    """
    source = data if isinstance(data, Source) else open_source(data, **options)
    table = source.table()
    names = table.column_names if source.origin.named else [str(number) for number in range(table.num_columns)]
    return {name: array_of(column) for name, column in zip(names, table.columns, strict=True)}


def array_of(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return a column as an array: a missing number is NaN, a missing text an empty one.

    Whole numbers beyond 2^53 are texts where some are missing.
    """
    if pt.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pt.is_string(column.type) or pt.is_large_string(column.type):
        column = pc.fill_null(column, "")
        longest = pc.max(pc.utf8_length(column)).as_py() or 0
        values = column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
        return values.astype(str) if longest <= _NARROW else values
    if pt.is_integer(column.type) and column.null_count and pc.max(pc.abs(column)).as_py() > _EXACT:
        # As floats, which a missing value would make of them, not all would be the same.
        return array_of(pc.cast(column, pa.string()))
    return column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()

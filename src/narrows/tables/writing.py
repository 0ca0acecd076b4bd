"""Writing an array into a file, whole or not at all."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from narrows.errors import DataError
from narrows.io.atomic import atomic_write
from narrows.tables.formats import WRITABLE, format_of
from narrows.tables.table import numeric_dtype

__all__ = ["write"]

_BLOCK_BYTES = 16 << 20
_GROUP_ROWS = 1 << 16


def write(path: str | os.PathLike[str], values: ArrayLike, *, columns: Sequence[str] | None = None) -> None:
    """Write an array of numbers into a file.

    The name says the format: ``.csv``, ``.tsv``, ``.parquet``, ``.npy`` or ``.npz``. The file
    takes its place only when all of it has been written; until then, and if anything fails, an old file
    stays.

    Parameters
    ----------
    path : str or path-like
        The file; one that exists is replaced.
    values : array-like of shape (n_rows, n_features)
        Numbers; one dimension is one column. ``.npy`` and ``.npz`` take any number of dimensions. Floats in
        text are written with as many digits as bring back the same float, and no more.
    columns : sequence of str, default=None
        Column names. None writes text without a header and Parquet columns ``x0``, ``x1``, …; an ``.npz``
        file keeps them as its array ``columns`` (the values are ``X``), an ``.npy`` file has no place for
        them.

    Raises
    ------
    DataError
        If the format is unknown, the values are not numbers, the names do not fit or the file cannot be
        written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from narrows import tables
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "codes.csv"
    >>> tables.write(path, [[0.1, 2.0], [0.25, float("nan")]], columns=["a", "b"])
    >>> tables.read(path).values
    array([[0.1 , 2.  ],
           [0.25,  nan]])
    """
    file = Path(path)
    kind = format_of(file)
    if kind in (None, "idx") or file.suffix.lower() == ".gz":
        raise DataError(f"{file} is of a kind narrows does not write; it writes {WRITABLE}.")
    array = _as_numbers(values)
    if kind in ("csv", "tsv", "parquet") and array.ndim != 2:
        if array.ndim != 1:
            raise DataError(f"{file} takes rows of numbers; an array of shape {array.shape} fits .npy or .npz.")
        array = array[:, np.newaxis]
    names = _checked_names(columns, array, kind)
    with atomic_write(file) as temporary:
        if kind == "parquet":
            _write_parquet(temporary, array, names)
        elif kind in ("csv", "tsv"):
            _write_text(temporary, array, names, "," if kind == "csv" else "\t")
        else:
            with temporary.open("wb") as stream:
                if kind == "npy":
                    np.save(stream, array, allow_pickle=False)
                elif names is None:
                    np.savez(stream, X=array)
                else:
                    np.savez(stream, X=array, columns=np.array(names, dtype=np.str_))


def _as_numbers(values: ArrayLike) -> np.ndarray:
    """Return an array of a type every format can hold."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"The values to write are not a table: {error}") from error
    dtype = numeric_dtype(array.dtype, "The array to write")
    if array.ndim == 0:
        raise DataError("The value to write is a single number, not rows.")
    return array.astype(dtype, copy=False)


def _checked_names(columns: Sequence[str] | None, array: np.ndarray, kind: str | None) -> list[str] | None:
    """Return the names if they fit the array and can be read back."""
    if columns is None:
        return None
    names = [str(name) for name in columns]
    n_columns = int(np.prod(array.shape[1:])) if array.ndim > 1 else 1
    if len(names) != n_columns:
        raise DataError(f"There are {len(names)} column names for {n_columns} columns.")
    if kind in ("csv", "tsv"):
        from narrows.tables.text import names_taken_for_numbers

        if names_taken_for_numbers(names):
            raise DataError("In text, column names that are all numbers would be read back as a row: rename one.")
    elif kind == "parquet" and len(set(names)) != len(names):
        raise DataError("Column names must differ from each other in a Parquet file.")
    return names


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield rows in blocks, so that a memory map is written without being read whole."""
    step = max(1, _BLOCK_BYTES // max(1, array.shape[1] * array.itemsize))
    for start in range(0, len(array), step):
        yield array[start : start + step]


def _record_batch(block: np.ndarray, schema: Any) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(
        [pa.array(np.ascontiguousarray(block[:, k])) for k in range(block.shape[1])], schema=schema
    )


def _schema(array: np.ndarray, names: list[str] | None) -> Any:
    import pyarrow as pa

    kind = pa.from_numpy_dtype(array.dtype)
    # Not nullable: whole numbers then stay whole numbers when they are read back.
    return pa.schema(
        [pa.field(name, kind, nullable=False) for name in names or [f"x{k}" for k in range(array.shape[1])]]
    )


def _write_parquet(temporary: Path, array: np.ndarray, names: list[str] | None) -> None:
    import pyarrow.parquet as pq

    schema = _schema(array, names)
    with pq.ParquetWriter(temporary, schema) as writer:
        for start in range(0, len(array), _GROUP_ROWS):
            writer.write_batch(_record_batch(array[start : start + _GROUP_ROWS], schema))


def _write_text(temporary: Path, array: np.ndarray, names: list[str] | None, delimiter: str) -> None:
    import csv

    with temporary.open("w", encoding="utf-8", newline="") as text:
        if names is not None:
            csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(names)
    with temporary.open("ab") as stream:
        from pyarrow import csv as arrow_csv

        schema = _schema(array, None)
        options = arrow_csv.WriteOptions(include_header=False, delimiter=delimiter)
        with arrow_csv.CSVWriter(stream, schema, write_options=options) as writer:
            for block in _blocks(array):
                writer.write_batch(_record_batch(block, schema))

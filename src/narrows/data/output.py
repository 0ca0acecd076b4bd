"""The way out: tables in the form that the data came in, and into files."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from narrows.data.parts import as_type, unique_names
from narrows.data.places import format_of
from narrows.data.source import BATCH_ROWS, Origin
from narrows.errors import DataError
from narrows.io.atomic import atomic_write

__all__ = ["WRITABLE", "to_origin", "write_table"]

WRITABLE = ".csv, .tsv (also .gz, .bz2, .zst), .parquet, .feather, .npy and .npz"

_PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def to_origin(table: pa.Table, origin: Origin) -> Any:
    """Return a table in the form that the data came in: library, types, labels and, of as many rows, the index.

    Columns that the data did not have, such as scores, and values that its types do not hold keep their own types.

    Examples
    --------
    >>> import pandas as pd
    >>> from narrows.data.opening import open_source
    >>> frame = pd.DataFrame({"size": pd.Categorical(["S", "L"], ["S", "M", "L"], ordered=True)}, index=[7, 9])
    >>> source = open_source(frame)
    >>> to_origin(source.table(), source.origin).equals(frame)
    True
    """
    makers = {"pandas": _to_pandas, "polars": _to_polars, "dict": _to_dict, "numpy": _to_numpy, "arrow": _to_arrow}
    return makers.get(origin.library, lambda table, _: table)(table, origin)


def _labels(table: pa.Table, origin: Origin) -> list[Any]:
    """Return the columns' own labels."""
    known = {} if origin.labels is None else dict(zip(unique_names(origin.labels), origin.labels, strict=True))
    return [known.get(name, name) for name in table.column_names]


def _to_pandas(table: pa.Table, origin: Origin) -> Any:
    import pandas as pd

    series = [_pandas_series(table.column(name), origin.dtypes.get(name)) for name in table.column_names]
    index = origin.index if origin.index is not None and len(origin.index) == len(table) else None
    frame = pd.DataFrame(dict(enumerate(series)))
    frame = frame if series else pd.DataFrame(index=range(len(table)))
    if index is not None:
        frame.index = index
    frame.columns = _labels(table, origin) if origin.labels is not None else table.column_names
    return frame


def _pandas_series(column: pa.ChunkedArray, dtype: Any) -> Any:
    """Return a column as a type of pandas, if that holds all its values."""
    import pandas as pd

    plain = column.to_pandas(date_as_object=True)
    try:
        if dtype is None or plain.dtype == dtype:
            return plain
        if isinstance(dtype, pd.CategoricalDtype):
            values = pc.cast(column, column.type.value_type) if pt.is_dictionary(column.type) else column
            found = pd.Series(pd.Categorical(_of_levels(values.to_pandas(), dtype.categories), dtype=dtype))
            return found if found.isna().sum() == column.null_count else plain
        if isinstance(dtype, pd.SparseDtype):
            return plain.astype(dtype)
        if isinstance(dtype, np.dtype):
            lossy = column.null_count and dtype.kind in "iub"
            return plain if lossy else plain.astype(dtype)
        if isinstance(dtype, pd.ArrowDtype):
            return pd.Series(pd.array(column.cast(dtype.pyarrow_dtype), dtype=dtype))
        return pd.Series(pd.array(plain.astype(object).where(plain.notna(), None), dtype=dtype))
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError, OverflowError):
        return plain


def _of_levels(values: Any, categories: Any) -> Any:
    """Return values as the levels that they are texts of."""
    if categories.dtype != object or all(isinstance(level, str) for level in categories):
        return values
    return values.map({str(level): level for level in categories})


def _to_polars(table: pa.Table, origin: Origin) -> Any:
    import polars as pl

    series = []
    for name in table.column_names:
        column = table.column(name)
        wanted = origin.dtypes.get(name)
        plain = pl.Series(name, pl.from_arrow(column))
        if wanted is not None and plain.dtype != wanted:
            try:
                source = plain.cast(pl.String) if isinstance(wanted, (pl.Enum, pl.Categorical)) else plain
                plain = source.cast(wanted, strict=True)
            except pl.exceptions.PolarsError:
                pass
        series.append(plain)
    return pl.DataFrame(series)


def _to_dict(table: pa.Table, origin: Origin) -> dict[Any, Any]:
    columns = {}
    for label, name in zip(_labels(table, origin), table.column_names, strict=True):
        kind = origin.dtypes.get(name, list)
        columns[label] = table.column(name).to_pylist() if kind is list else _numpy(table.column(name), kind)
    return columns


def _numpy(column: pa.ChunkedArray, dtype: Any) -> np.ndarray:
    """Return a column of numpy, masked where its type has no way to say that a value is missing."""
    column = pc.cast(column, column.type.value_type) if pt.is_dictionary(column.type) else column
    missing = column.null_count and (dtype is None or dtype.kind in "iub")
    mask = column.is_null().to_numpy() if missing else None
    if missing and not pt.is_nested(column.type):
        column = pc.fill_null(column, pa.scalar(0).cast(column.type))
    values = column.to_numpy()
    if dtype is not None and values.dtype != dtype:
        try:
            values = values.astype(dtype)
        except (TypeError, ValueError):
            return values
    return values if mask is None else np.ma.masked_array(values, mask)


def _to_numpy(table: pa.Table, origin: Origin) -> np.ndarray:
    columns = [_numpy(table.column(name), origin.dtypes.get(name)) for name in table.column_names]
    if not origin.named or not origin.dtypes:
        masked = any(isinstance(column, np.ma.MaskedArray) for column in columns)
        return (np.ma.column_stack if masked else np.column_stack)(columns)
    rows = np.empty(len(table), [(n, c.dtype) for n, c in zip(table.column_names, columns, strict=True)])
    for name, column in zip(table.column_names, columns, strict=True):
        rows[name] = column
    return rows


def _to_arrow(table: pa.Table, origin: Origin) -> pa.Table:
    columns = []
    for name in table.column_names:
        column = table.column(name)
        try:
            columns.append(column.cast(origin.dtypes.get(name, column.type)))
        except (pa.ArrowException, NotImplementedError):
            columns.append(column)
    return pa.table(dict(zip(table.column_names, columns, strict=True)))


def write_table(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Write a table into a file, whole or not at all; its name says the format.

    Parameters
    ----------
    path : str or path-like
        The file; one that exists is replaced. In text, numbers have as many digits as bring back the same number, and
        missing values are empty.
    table : pyarrow.Table
        The rows.

    Raises
    ------
    DataError
        If the format is unknown or does not hold the table's values, or the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "codes.csv"
    >>> write_table(path, pa.table({"name": ["Ada", "O, Jo"], "code": [0.1, None]}))
    >>> print(path.read_text(), end="")
    name,code
    "Ada",0.1
    "O, Jo",
    """
    file = Path(path)
    kind = format_of(file.name)
    names = file.name.lower()
    packing = next((packed for ending, packed in _PACKED.items() if names.endswith(ending)), None)
    writers: dict[str | None, Callable[[Path], None]] = {
        "parquet": lambda target: _write_parquet(target, table),
        "feather": lambda target: _write_feather(target, table),
        "npy": lambda target: _write_array(target, table, named=False),
        "npz": lambda target: _write_array(target, table, named=True),
    }
    if ".csv" in file.suffixes or ".tsv" in file.suffixes:
        delimiter = "\t" if ".tsv" in file.suffixes else ","
        writers["text"] = lambda target: _write_text(target, table, delimiter, packing)
    if kind not in writers or names.endswith(".xz"):
        raise DataError(f"{file} is of a kind narrows does not write; it writes {WRITABLE}")
    with atomic_write(file) as temporary:
        try:
            writers[kind](temporary)
        except (pa.ArrowException, NotImplementedError) as error:
            raise DataError(f"{file} cannot hold the table: {error}") from error


def _write_parquet(target: Path, table: pa.Table) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, target, row_group_size=1 << 17)


def _write_feather(target: Path, table: pa.Table) -> None:
    from pyarrow import feather

    feather.write_feather(table, str(target))


def _write_array(target: Path, table: pa.Table, *, named: bool) -> None:
    for column in table.schema:
        if not (pt.is_integer(column.type) or pt.is_floating(column.type) or pt.is_boolean(column.type)):
            raise DataError(f"column {column.name!r} of type {column.type} is no number: numpy files hold only numbers")
    values = np.column_stack(
        [_numpy(column, np.dtype(np.float64) if column.null_count else None) for column in table.columns]
    )
    with target.open("wb") as stream:
        if named:
            np.savez(stream, X=values, columns=np.array(table.column_names, dtype=np.str_))
        else:
            np.save(stream, values, allow_pickle=False)


def _write_text(target: Path, table: pa.Table, delimiter: str, packing: str | None) -> None:
    """Write a line of names, then rows; quotes stand only in batches where some text needs them."""
    from pyarrow import csv as arrow_csv

    with pa.output_stream(str(target), compression=packing) as stream:
        text = _Lines()
        csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(table.column_names)
        stream.write(text.line.encode())
        for batch in _text_batches(table):
            options = {"include_header": False, "delimiter": delimiter}
            try:
                sink = pa.BufferOutputStream()
                arrow_csv.write_csv(batch, sink, arrow_csv.WriteOptions(quoting_style="none", **options))
            except pa.ArrowInvalid:
                sink = pa.BufferOutputStream()
                arrow_csv.write_csv(batch, sink, arrow_csv.WriteOptions(quoting_style="needed", **options))
            stream.write(sink.getvalue())


class _Lines:
    """What csv writes to."""

    line = ""

    def write(self, text: str) -> None:
        self.line += text


def _text_batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield batches whose columns text can hold, NaN as missing."""
    for column in table.schema:
        if pt.is_nested(column.type) and not pt.is_dictionary(column.type):
            raise DataError(f"column {column.name!r} of type {column.type} does not fit a cell of text: leave it out")
    for batch in table.to_batches(BATCH_ROWS):
        arrays = []
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            if pt.is_dictionary(array.type):
                array = as_type(array, array.type.value_type, name, "the table")
            if pt.is_floating(array.type):
                array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
            if pt.is_duration(array.type):
                array = pc.divide(array.cast(pa.duration("us"), safe=False).cast(pa.int64()).cast(pa.float64()), 1e6)
            if pt.is_float16(array.type):
                array = array.cast(pa.float32())
            arrays.append(array)
        if len(arrays) == 1:
            # A line of nothing would be no row.
            text = (
                pa.array([None] * len(batch), pa.string())
                if pt.is_null(arrays[0].type)
                else arrays[0].cast(pa.string())
            )
            arrays = [pc.fill_null(text, "NA")] if arrays[0].null_count else arrays
        yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)

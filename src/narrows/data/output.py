"""The way out: tables in the form that the data came in, and into files."""

import csv
import io
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt
from pyarrow import csv as arrow_csv
from pyarrow import feather

from narrows.data.parts import unique_names
from narrows.data.places import format_of
from narrows.data.source import Origin
from narrows.errors import DataError
from narrows.io.atomic import atomic_write

__all__ = ["WRITABLE", "check_writable", "delimiter_of", "to_origin", "write_table"]

WRITABLE = ".csv, .tsv (also .gz, .bz2, .zst), .parquet, .feather, .npy and .npz"

_TEXT = re.compile(r"\.(csv|tsv)(?:\.(gz|bz2|zst))?$")
_PACKED = {"gz": "gzip", "bz2": "bz2", "zst": "zstd"}
_BATCH_CELLS = 1 << 20
"""Cells that are turned into text at a time."""


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


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, column.type.value_type) if pt.is_dictionary(column.type) else column


def _to_pandas(table: pa.Table, origin: Origin) -> Any:
    import pandas as pd

    series = [_pandas_series(table.column(name), origin.dtypes.get(name)) for name in table.column_names]
    frame = pd.DataFrame(dict(enumerate(series)), index=range(len(table)))
    if origin.index is not None and len(origin.index) == len(table):
        frame.index = origin.index
    frame.columns = pd.Index(_labels(table, origin))
    return frame


def _pandas_series(column: pa.ChunkedArray, dtype: Any) -> Any:
    """Return a column as a type of pandas, if that holds all its values."""
    import pandas as pd

    plain = column.to_pandas(date_as_object=True)
    try:
        if dtype is None or plain.dtype == dtype:
            return plain
        if isinstance(dtype, pd.CategoricalDtype):
            texts = _decoded(column).to_pandas()
            levels = {str(level): level for level in dtype.categories}
            spelled = pt.is_large_string(_decoded(column).type) or pt.is_string(_decoded(column).type)
            found = pd.Series(pd.Categorical(texts.map(levels) if spelled else texts, dtype=dtype))
            return found if found.isna().sum() == column.null_count else plain
        if isinstance(dtype, np.dtype):
            if dtype.kind in "iub":
                column.cast(pa.from_numpy_dtype(dtype))  # refused where it would change a value
            return plain.astype(dtype)
        if isinstance(dtype, pd.ArrowDtype):
            return pd.Series(pd.array(column.cast(dtype.pyarrow_dtype), dtype=dtype))
        if isinstance(dtype, pd.SparseDtype):
            return plain.astype(dtype)
        return pd.Series(pd.array(plain.astype(object).where(plain.notna(), None), dtype=dtype))
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError, OverflowError):
        return plain


def _to_polars(table: pa.Table, origin: Origin) -> Any:
    import polars as pl

    series = []
    for name in table.column_names:
        column, wanted = table.column(name), origin.dtypes.get(name)
        plain = pl.Series(name, pl.from_arrow(column))
        if wanted is not None and plain.dtype != wanted:
            try:
                if wanted.is_integer():
                    column.cast(pa.int64())  # refused where it would change a value
                texts = isinstance(wanted, (pl.Enum, pl.Categorical))
                plain = (plain.cast(pl.String) if texts else plain).cast(wanted)
            except (pa.ArrowException, pl.exceptions.PolarsError):
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
    column = _decoded(column)
    if dtype is not None and dtype.kind in "iub":
        try:
            column = column.cast(pa.from_numpy_dtype(dtype.newbyteorder("=")))
        except (pa.ArrowException, NotImplementedError):
            dtype = None
    mask = column.is_null().to_numpy() if column.null_count and not pt.is_floating(column.type) else None
    if mask is not None and (pt.is_integer(column.type) or pt.is_boolean(column.type)):
        column = pc.fill_null(column, pa.scalar(0).cast(column.type))
    values = column.to_numpy()
    if dtype is not None:
        try:
            values = values.astype(dtype, copy=False)
        except (TypeError, ValueError):
            return values
    return values if mask is None or values.dtype.kind not in "iub" else np.ma.masked_array(values, mask)


def _to_numpy(table: pa.Table, origin: Origin) -> np.ndarray:
    columns = [_numpy(table.column(name), origin.dtypes.get(name)) for name in table.column_names]
    masked = any(isinstance(column, np.ma.MaskedArray) for column in columns)
    if not origin.named:
        return (np.ma.column_stack if masked else np.column_stack)(columns)
    kinds = [(name, column.dtype) for name, column in zip(table.column_names, columns, strict=True)]
    rows = (np.ma if masked else np).empty(len(table), kinds)
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
    kind = check_writable(file)
    text = _TEXT.search(file.name.lower())
    with atomic_write(file) as temporary:
        try:
            if text:
                _write_text(temporary, table, delimiter_of(file), _PACKED.get(text[2]))
            elif kind == "parquet":
                pq.write_table(table, temporary, row_group_size=1 << 17)
            elif kind == "feather":
                feather.write_feather(table, str(temporary))
            else:
                _write_array(temporary, table, named=kind == "npz")
        except (pa.ArrowException, NotImplementedError) as error:
            raise DataError(f"{file} cannot hold the table: {error}") from error


def check_writable(path: Path) -> str:
    """Return the format that a name says, and refuse one that is not written."""
    kind = format_of(path)
    if kind in (None, "idx") or (kind == "text" and not _TEXT.search(path.name.lower())):
        raise DataError(f"{path} is of a kind narrows does not write; it writes {WRITABLE}.")
    return str(kind)


def delimiter_of(path: str | os.PathLike[str]) -> str:
    """Return what parts the fields of a text file that is to be written."""
    return "\t" if ".tsv" in os.path.basename(path).lower() else ","  # noqa: PTH119


def _write_array(target: Path, table: pa.Table, *, named: bool) -> None:
    for column in table.schema:
        if not (pt.is_integer(column.type) or pt.is_floating(column.type) or pt.is_boolean(column.type)):
            raise DataError(f"column {column.name!r} of type {column.type} is no number: numpy files hold only numbers")
    values = np.column_stack([_numpy(c, np.dtype(float) if c.null_count else None) for c in table.columns])
    with target.open("wb") as stream:
        if named:
            np.savez(stream, X=values, columns=np.array(table.column_names, dtype=np.str_))
        else:
            np.save(stream, values, allow_pickle=False)


def _write_text(target: Path, table: pa.Table, delimiter: str, packing: str | None) -> None:
    """Write a line of names, then rows; quotes stand only in batches where some text needs them."""
    header = io.StringIO()
    csv.writer(header, delimiter=delimiter, lineterminator="\n").writerow(table.column_names)
    with pa.output_stream(str(target), compression=packing) as stream:
        stream.write(header.getvalue().encode())
        for batch in _text_batches(table):
            try:
                rows = _lines(batch, delimiter, "none")
            except pa.ArrowInvalid:
                rows = _lines(batch, delimiter, "needed")
            stream.write(rows)


def _lines(batch: pa.RecordBatch, delimiter: str, quoting: str) -> pa.Buffer:
    options = arrow_csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style=quoting)
    sink = pa.BufferOutputStream()
    arrow_csv.write_csv(batch, sink, options)
    return sink.getvalue()


def _text_batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield batches whose columns text can hold, NaN as missing and durations in seconds."""
    for column in table.schema:
        if pt.is_nested(column.type) and not pt.is_dictionary(column.type):
            raise DataError(f"column {column.name!r} of type {column.type} does not fit a cell of text: leave it out")
    table = pa.table([_whole_seconds(column) for column in table.columns], names=table.column_names)
    for batch in table.to_batches(max(1, _BATCH_CELLS // max(1, table.num_columns))):
        columns = [_text_column(column) for column in batch.columns]
        if len(columns) == 1 and columns[0].null_count:
            # A line of nothing would be no row.
            columns = [pc.fill_null(columns[0].cast(pa.string()), "NA")]
        yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _whole_seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return moments in the coarsest unit that holds them, so that they are written without zeros."""
    for unit in ("s", "ms", "us") if pt.is_timestamp(column.type) else ():
        with suppress(pa.ArrowInvalid):
            return column.cast(pa.timestamp(unit, column.type.tz))
    return column


def _text_column(column: pa.Array) -> pa.Array:
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pt.is_floating(column.type):
        column = column.cast(pa.float32()) if pt.is_float16(column.type) else column
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if pt.is_duration(column.type):
        micros = column.cast(pa.duration("us"), safe=False).cast(pa.int64())
        return pc.divide(micros.cast(pa.float64()), 1e6)
    return column

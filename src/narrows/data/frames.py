"""Frames, Arrow data, dicts and arrays as sources of Arrow columns, without copying them where that can be."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from narrows.data.parts import Part, PartsSource, pandas_index, table_part, unique_names
from narrows.data.source import Origin
from narrows.errors import DataError

__all__ = ["array_parts", "memory_source"]

_TICKS = {"h": "s", "m": "s", "Y": "D", "M": "D", "W": "D", "ps": "ns", "fs": "ns", "as": "ns", "generic": "s"}
"""Units of numpy's moments and durations that Arrow lacks, and the ones that hold them."""


def memory_source(data: Any) -> PartsSource:
    """Open what is in memory, or is read through an object in memory: frames, Arrow data, dicts, arrays."""
    if hasattr(data, "tocsr"):
        raise DataError("a sparse matrix has no columns of a table: give it to a model as it is")
    if isinstance(data, Mapping):
        return _from_dict(data)
    for library, make in (("pandas", _from_pandas), ("polars", _from_polars), ("duckdb", _from_relation)):
        if _is_of(data, library):
            return make(data)
    if type(data).__module__ == "pyarrow._dataset":
        return _from_dataset(data)
    if hasattr(data, "__arrow_c_stream__") or isinstance(data, pa.RecordBatch):
        return _from_arrow(data)
    if hasattr(data, "__array__") or isinstance(data, (list, tuple)):
        return _from_array(data)
    return _from_any_frame(data)


def _is_of(data: Any, library: str) -> bool:
    """Whether an object is of a library, which need not be imported for it."""
    return any(kind.__module__.partition(".")[0].lstrip("_") == library for kind in type(data).__mro__)


def _in_memory(
    columns: Sequence[Any],
    labels: list[Any],
    origin: Origin,
    dtypes: Iterable[Any],
    index_columns: Sequence[str] = (),
) -> PartsSource:
    """Make a source of columns, with their labels as names where these are texts that differ."""
    names = unique_names(labels)
    if names != labels:
        origin = replace(origin, labels=labels)
    notes = []
    if len({str(label) for label in labels}) < len(labels):
        notes.append("columns of the same name are told apart by a number, as in 'a' and 'a_1'")
    part = table_part(pa.Table.from_arrays(columns, names=names), f"the {origin.library} data")
    origin = replace(origin, dtypes=dict(zip(names, dtypes, strict=True)))
    return PartsSource([part], origin, notes, index_columns)


def _from_pandas(data: Any) -> PartsSource:
    """Take a frame or series of pandas, its index to the origin."""
    import pandas as pd

    if isinstance(data, pd.Series):
        data = data.to_frame()
    if not isinstance(data, pd.DataFrame):
        raise DataError(f"a {type(data).__name__} of pandas is no table: give a DataFrame")
    for axis, what in ((data.index, "index"), (data.columns, "columns")):
        if isinstance(axis, pd.MultiIndex):
            mend = "reset_index() makes columns of it" if what == "index" else "join each column's labels into one name"
            raise DataError(f"the frame's {what} has {axis.nlevels} levels (MultiIndex): {mend}")
    labels = list(data.columns)
    columns = [_pandas_column(data.iloc[:, position], str(label)) for position, label in enumerate(labels)]
    return _in_memory(columns, labels, Origin("pandas", index=data.index), data.dtypes.tolist())


def _pandas_column(series: Any, name: str) -> pa.Array:
    """Return a column of a pandas frame, null where pandas sees nothing."""
    import pandas as pd

    dtype = series.dtype
    try:
        if isinstance(dtype, pd.SparseDtype):
            series = series.sparse.to_dense()
        elif isinstance(dtype, (pd.PeriodDtype, pd.IntervalDtype)):
            series = series.astype("string")
        elif isinstance(dtype, pd.CategoricalDtype) and dtype.categories.dtype.kind not in "biufM":
            series = series.cat.rename_categories([str(category) for category in dtype.categories])
        if isinstance(series.dtype, np.dtype):
            return _numpy_column(series.to_numpy(), name, missing_nan=True)
        return pa.array(series, from_pandas=True)
    except DataError:
        raise
    except (pa.ArrowException, TypeError, NotImplementedError, ValueError) as error:
        raise DataError(f"column {name!r} of type {dtype} cannot be read: {error}") from error


def object_array(values: Sequence[Any] | np.ndarray, name: str) -> pa.Array:
    """Return Python objects as one type: numbers, texts, truth values, moments; refused where they are of several."""
    objects = [_plain(value) for value in values]
    kinds = {type(value) for value in objects if value is not None and value == value}
    if kinds == {int} and any(not -(2**63) <= value < 2**63 for value in objects if isinstance(value, int)):
        # Whole numbers of any length are identifiers more often than amounts, and no float may round them.
        objects = [str(value) if isinstance(value, int) else None for value in objects]
    elif Decimal in kinds and float in kinds:
        objects = [float(value) if isinstance(value, Decimal) else value for value in objects]
    try:
        return pa.array(objects, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        listed = " and ".join(sorted(kind.__name__ for kind in kinds))
        said = f"values of different types ({listed})" if len(kinds) > 1 else f"values of type {listed}"
        raise DataError(f"column {name!r} holds {said}, which are no column of a table: make them one type") from error


def _plain(value: Any) -> Any:
    """Return an object as Arrow knows it."""
    if isinstance(value, (str, float)) or value is None:
        return value
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":
        return float(value) if isinstance(value, np.longdouble) else value.item()
    if isinstance(value, (UUID, Fraction)):
        return str(value) if isinstance(value, UUID) else float(value)
    if type(value).__name__ in ("Period", "Interval"):
        return str(value)
    return None if type(value).__name__ in ("NAType", "NaTType") else value


def _from_polars(data: Any) -> PartsSource:
    """Take a frame, a lazy frame or a series of polars."""
    import polars as pl

    if isinstance(data, pl.Series):
        data = data.to_frame()
    if not isinstance(data, (pl.DataFrame, pl.LazyFrame)):
        raise DataError(f"a {type(data).__name__} of polars is no table: give a DataFrame or a LazyFrame")
    dtypes = dict(data.collect_schema())
    for name, dtype in dtypes.items():
        if dtype in (pl.Object, pl.Int128):
            raise DataError(f"column {name!r} of type {dtype} cannot be read: leave it out, or make it another type")
    origin = Origin("polars", dtypes=dtypes)
    if isinstance(data, pl.DataFrame):
        return PartsSource([table_part(data.to_arrow(), "the frame")], origin)
    frame = data

    def read(columns: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        chosen = frame.select(columns or list(dtypes)[:1])
        if not hasattr(chosen, "collect_batches"):
            yield from chosen.collect().to_arrow().to_batches(batch_rows)
            return
        for batch in chosen.collect_batches(chunk_size=batch_rows, maintain_order=True):
            yield from batch.to_arrow().to_batches(batch_rows)

    schema = pl.DataFrame(schema=dtypes).to_arrow().schema
    return PartsSource([Part("the lazy frame", schema, None, read)], origin)


def _from_dataset(data: Any) -> PartsSource:
    """Take a dataset of Arrow, which is read anew each time."""

    def read(columns: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        yield from data.to_batches(columns=columns, batch_size=batch_rows, batch_readahead=1, fragment_readahead=1)

    origin = Origin("arrow", dtypes={column.name: column.type for column in data.schema})
    return PartsSource([Part("the dataset", data.schema, None, read)], origin, index_columns=pandas_index(data.schema))


def _from_relation(data: Any) -> PartsSource:
    """Take a relation of DuckDB, whose query is run anew each time."""
    if not hasattr(data, "__arrow_c_stream__"):
        raise DataError(f"a {type(data).__name__} of DuckDB is no table: give a relation")
    schema = pa.RecordBatchReader.from_stream(data.limit(0)).schema

    def read(columns: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in columns or schema.names[:1])
        chosen = data.project(quoted)
        yield from (getattr(chosen, "to_arrow_reader", None) or chosen.fetch_record_batch)(batch_rows)

    origin = Origin("arrow", dtypes={column.name: column.type for column in schema})
    return PartsSource([Part("the relation", schema, None, read)], origin)


def _from_arrow(data: Any) -> PartsSource:
    """Take a table or batch of Arrow, or read a stream of batches into memory."""
    once = not isinstance(data, (pa.Table, pa.RecordBatch))
    try:
        table = pa.table(data) if once else data
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DataError(f"the stream of Arrow batches cannot be read: {error}") from error
    schema = table.schema
    source = _in_memory(table.columns, schema.names, Origin("arrow"), schema.types, pandas_index(schema))
    if once:
        source.notes.append(f"the {type(data).__name__} was read into memory")
    return source


def _from_dict(data: Mapping[Any, Any]) -> PartsSource:
    """Take a dict of columns."""
    labels = list(data)
    columns = [_dict_column(values, str(label)) for label, values in data.items()]
    for label, column in zip(labels, columns, strict=True):
        if len(column) != len(columns[0]):
            said = f"column {label!r} has {len(column)} values, and column {labels[0]!r} has {len(columns[0])}"
            raise DataError(f"{said}: all must have as many")
    kinds = [values.dtype if isinstance(values, np.ndarray) else list for values in data.values()]
    return _in_memory(columns, labels, Origin("dict"), kinds)


def _dict_column(values: Any, name: str) -> pa.Array:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if _is_of(values, "pandas") and hasattr(values, "to_frame"):
        return _pandas_column(values if hasattr(values, "iloc") else values.to_series(), name)
    if hasattr(values, "__arrow_c_stream__"):
        return pa.chunked_array(values)
    if hasattr(values, "__array__"):
        array = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
        if array.ndim != 1:
            raise DataError(f"column {name!r} of the dict has the shape {array.shape}: give one value a row")
        return _numpy_column(array, name)
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
        raise DataError(f"column {name!r} of the dict is a {type(values).__name__}: give a list or an array")
    return object_array(list(values), name)


def _from_array(data: Any) -> PartsSource:
    """Take an array of numpy, or what can be made one."""
    try:
        array = data if isinstance(data, np.ndarray) else np.asarray(data)
    except ValueError as error:
        raise DataError(f"the rows are no table: {error}") from error
    parts = array_parts(array, "the array")
    names = parts[0].schema.names
    named = array.dtype.names is not None
    kinds = [array.dtype[name] for name in names] if named else [array.dtype] * len(names)
    origin = Origin("numpy", dtypes=dict(zip(names, kinds, strict=True)), named=named)
    made_up = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    return PartsSource(parts, origin, [] if named else [f"the columns have no names and are called {made_up}"])


def array_parts(
    array: np.ndarray, what: str, names: list[str] | None = None, partitions: dict[str, str | None] | None = None
) -> list[Part]:
    """Make a part of an array's rows, each laid out flat; numbers become columns when they are read."""
    if array.dtype.names is not None:
        return [table_part(_structured(array, what), what)]
    if array.ndim == 0:
        raise DataError(f"{what} is a single value, not rows")
    shape = array.shape[1:] or (1,)
    width = math.prod(shape)
    if not width:
        raise DataError(f"{what} of shape {array.shape} has no columns")
    names = names or [f"x{number}" for number in range(width)]
    if array.dtype.kind not in "biufmM":
        flat = array.reshape(len(array), width)
        columns = [_numpy_column(flat[:, number], name) for number, name in enumerate(names)]
        part = table_part(pa.Table.from_arrays(columns, names=names), what)
        return [Part(what, part.schema, part.n_rows, part.read, partitions or {})]
    kind = _numpy_column(array[:0].reshape(-1), names[0]).type
    places = {name: number for number, name in enumerate(names)}

    def read(columns: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        chosen = columns or names[:1]
        for start in range(0, len(array), batch_rows):
            block = array[start : start + batch_rows].reshape(-1, width)
            if len(chosen) == width and not np.ma.isMaskedArray(block):
                block = np.ascontiguousarray(block.T).T
            arrays = [_numpy_column(block[:, places[name]], name) for name in chosen]
            yield pa.RecordBatch.from_arrays(arrays, names=chosen)

    return [Part(what, pa.schema([(name, kind) for name in names]), len(array), read, partitions or {}, tuple(shape))]


def _structured(array: np.ndarray, what: str) -> pa.Table:
    """Return the fields of a structured array."""
    columns = {}
    for name in array.dtype.names or ():
        if array[name].ndim != 1:
            raise DataError(f"field {name!r} of {what} has {array[name].ndim} dimensions: give one value a row")
        columns[name] = _numpy_column(array[name], name)
    return pa.table(columns)


def _numpy_column(values: np.ndarray, name: str, *, missing_nan: bool = False) -> pa.Array:
    """Return one column of numpy, null where it is masked; NaN stays unless it is to be missing."""
    mask = np.ma.getmaskarray(values) if np.ma.isMaskedArray(values) else None
    values = np.asarray(values)
    kind = values.dtype.kind
    if kind in "OV":
        return object_array(values if mask is None else np.where(mask, np.array(None), values), name)
    if kind in "SUT":
        # Bytes become text when they are read, or are refused then.
        return pa.array(values.tolist(), mask=mask)
    native = values.dtype.newbyteorder("=")
    if kind in "mM":
        unit = np.datetime_data(values.dtype)[0]
        unit = _TICKS.get(unit, unit) if kind == "M" or unit not in "DW" else "s"
        native = np.dtype(f"{kind}8[{unit}]")
    elif kind == "f" and values.dtype.itemsize > 8:
        native = np.dtype(np.float64)
        if (np.abs(values[np.isfinite(values)]) > np.finfo(native).max).any():
            raise DataError(f"column {name!r} has values that are too large for 64 bits")
    elif kind == "c":
        raise DataError(f"column {name!r} holds complex numbers: give their real and imaginary parts as two columns")
    return pa.array(values.astype(native, copy=False), mask=mask, from_pandas=missing_nan)


def _from_any_frame(data: Any) -> PartsSource:
    """Take a frame of any other library that narwhals knows: Modin, cuDF, Dask, PySpark, Ibis."""
    import narwhals as nw

    frame = nw.from_native(data, pass_through=True, allow_series=True)
    if isinstance(frame, nw.Series):
        frame = frame.to_frame()
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect("pyarrow")
    if isinstance(frame, nw.DataFrame):
        return _from_arrow(frame.to_arrow())
    raise DataError(
        f"a {type(data).__name__} is no table: give a frame, Arrow data, a dict of columns, an array or a path"
    )

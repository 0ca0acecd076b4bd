"""pandas frames as columns, and back with their names, types and index."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from narrows.codec.columns import INDEX, Schema
from narrows.codec.layout import ArrayLayout, Given, Layout, _check_type, _held, _type, holds_numbers, native
from narrows.codec.packing import cells_from_bytes, cells_to_bytes
from narrows.codec.sinks import Sink
from narrows.errors import CodecFileError, DataError

__all__ = ["FrameLayout", "frame_from_json", "take_frame"]


@dataclass(frozen=True)
class Column:
    """One column of a frame.

    Attributes
    ----------
    name : str, int or None
        What it is called.
    kind : str
        "numpy", "text", "nullable", "category" or "zoned".
    dtype : str
        Its type as pandas calls it (of "numpy" as numpy does).
    categories : str or None
        Of categories the list, packed in hexadecimal digits, and the type of the list.
    ordered : bool
        Whether categories have an order.
    """

    name: str | int | None
    kind: str
    dtype: str
    categories: tuple[str, str, int] | None = None
    ordered: bool = False

    def held(self) -> list[np.dtype]:
        """Return what its values are held in: of a nullable column the values, and which are missing."""
        if self.kind == "numpy":
            return [_held(np.dtype(self.dtype))]
        if self.kind == "nullable":
            return [_held(_numpy_type(self.dtype)), np.dtype(np.uint8)]
        return [np.dtype(np.int64 if self.kind == "zoned" else object)]


def _numpy_type(dtype: str) -> np.dtype:
    """Return numpy's type of the values of a nullable one: Int64's is int64."""
    return np.dtype(bool if dtype == "boolean" else dtype.lower())


@dataclass(frozen=True)
class FrameLayout(Layout):
    """A frame.

    Attributes
    ----------
    columns : tuple of Column
        Its columns.
    axis : tuple
        Type and name of the index of its columns.
    index : tuple
        ("range", start, step, name); or ("column", name), and the last column is the index.
    """

    columns: tuple[Column, ...]
    axis: tuple[Any, ...]
    index: tuple[Any, ...]

    @property
    def row_values(self) -> int:  # type: ignore[override]
        """How many values a row has."""
        return len(self.columns)

    def schema(self) -> Schema:
        """Return the columns; of a nullable one also what is missing."""
        return [(column.name, dtype) for column in self.columns for dtype in column.held()]

    def numbers(self) -> list[tuple[Any, int | None]]:
        """Return names, and places of numbers; neither the index nor what is missing may be off."""
        found: list[tuple[Any, int | None]] = []
        place = 0
        for column in self.columns:
            good = column.kind == "nullable" and column.dtype != "boolean"
            good = good or (column.kind == "numpy" and holds_numbers(np.dtype(column.dtype)))
            found.append((column.name, place if good else None))
            place += len(column.held())
        return found if self.index[0] == "range" else found[:-1]

    def to_json(self) -> Any:
        """Return plain values, for a file."""
        columns = []
        for column in self.columns:
            record: list[Any] = [column.name, column.kind, column.dtype]
            if column.categories is not None:
                record += [list(column.categories), column.ordered]
            columns.append(record)
        return {"f": columns, "x": list(self.axis), "i": list(self.index)}

    def describe(self, n_rows: int) -> dict[str, Any]:
        """Return what people want to know."""
        shown = self.columns if self.index[0] == "range" else self.columns[:-1]
        return {
            "what": "frame",
            "dtype": [column.dtype for column in shown],
            "shape": (n_rows, len(shown)),
            "columns": [column.name for column in shown],
        }

    def joins(self, other: Layout, n_before: int) -> bool:
        """Say whether rows of another frame may follow: its rows may be counted on, or from the start again."""
        if not isinstance(other, FrameLayout):
            return False
        if self.index[0] == other.index[0] == "range" and other.index[1] in (
            self.index[1],
            self.index[1] + n_before * self.index[2],
        ):
            other = replace(other, index=(*other.index[:1], self.index[1], *other.index[2:]))
        return self == other

    def sink(self, n_rows: int, rows: range | np.ndarray | None = None) -> Sink:
        """Return what gathers rows."""
        return _FrameSink(self, range(n_rows) if rows is None else rows)


class _FrameSink(Sink):
    def __init__(self, layout: FrameLayout, rows: range | np.ndarray) -> None:
        self.layout, self.rows = layout, rows
        self.arrays = []
        for column in layout.columns:
            types = [np.dtype(column.dtype)] if column.kind == "numpy" else column.held()
            self.arrays += [ArrayLayout(dtype, ()).sink(len(rows)) for dtype in types]

    def put(self, places: slice | np.ndarray, parts: list[np.ndarray]) -> None:
        for sink, part in zip(self.arrays, parts, strict=True):
            sink.put(places, [part])

    def finish(self) -> Any:
        import pandas as pd

        arrays = iter([sink.finish() for sink in self.arrays])
        columns = [_column(column, arrays) for column in self.layout.columns]
        how = self.layout.index
        if how[0] == "range":
            start, step = how[1], how[2]
            if isinstance(self.rows, range):
                # A range of a range is one.
                first, last = start + self.rows.start * step, start + self.rows.stop * step
                index: Any = pd.RangeIndex(first, last, self.rows.step * step, name=how[3])
            else:
                index = pd.Index(start + step * self.rows, name=how[3])
        else:
            index = pd.Index(columns.pop(), name=how[1])
        # The index comes last: columns would be sought by it.
        frame = pd.DataFrame(dict(enumerate(columns)), index=pd.RangeIndex(len(self.rows)), copy=False)
        frame.index = index
        frame.columns = _axis(self.layout)
        return frame


def _axis(layout: FrameLayout) -> Any:
    import pandas as pd

    names = [column.name for column in layout.columns][: None if layout.index[0] == "range" else -1]
    kind, name, *span = layout.axis
    if kind == "range":
        return pd.RangeIndex(span[0], span[0] + len(names) * span[1], span[1], name=name)
    return pd.Index(names, dtype=kind, name=name)


def _column(column: Column, arrays: Any) -> Any:
    import pandas as pd

    values = next(arrays)
    if column.kind == "numpy":
        return values if column.dtype != "|O" else pd.Series(values, dtype=object)
    if column.kind == "nullable":
        # Made of their two parts: `pd.array` takes a NaN for what is missing.
        kinds = {"f": pd.arrays.FloatingArray, "b": pd.arrays.BooleanArray}
        plain = values.astype(_numpy_type(column.dtype))
        return kinds.get(plain.dtype.kind, pd.arrays.IntegerArray)(plain, next(arrays).astype(bool))
    if column.kind == "zoned":
        unit = column.dtype.partition("[")[2].partition(",")[0]
        return pd.Series(values.view(f"M8[{unit}]")).dt.tz_localize("UTC").dt.tz_convert(_zone(column.dtype))
    if column.categories is None:
        return pd.Series(values, dtype=column.dtype)
    packed, kind, count = column.categories
    categories = pd.Index(cells_from_bytes(bytes.fromhex(packed), count), dtype=kind)
    return pd.Categorical(values, categories=categories, ordered=column.ordered)


def _zone(dtype: str) -> str:
    return dtype.partition(",")[2].strip(" ]")


def take_frame(X: Any) -> Given:
    """Take a pandas frame apart.

    Raises
    ------
    DataError
        If something about it could not be given back; the message names the column.
    """
    import pandas as pd

    if not isinstance(X, pd.DataFrame):
        raise DataError(f"a pandas {type(X).__name__} is not rows: give its to_frame()")
    if not X.shape[1]:
        raise DataError("the frame has no columns")
    columns, parts = [], []
    for number, name in enumerate(X.columns):
        column, found = _take_series(X.iloc[:, number], name)
        columns.append(column)
        parts += found
    index, extra = _take_index(X.index)
    if extra is not None:
        columns.append(extra[0])
        parts += extra[1]
    return Given(FrameLayout(tuple(columns), _take_axis(X.columns), index), parts)


def _take_axis(names: Any) -> tuple[Any, ...]:
    import pandas as pd

    _check_name(names.name)
    if isinstance(names, pd.RangeIndex):
        return ("range", names.name, names.start, names.step)
    if isinstance(names, pd.MultiIndex) or str(names.dtype) not in ("object", "str", "string", "int64"):
        raise DataError(f"columns named by {type(names).__name__} of {names.dtype} are not kept: make the names text")
    return (str(names.dtype), names.name)


def _check_name(name: Any) -> None:
    if not (name is None or type(name) in (str, int)):
        raise DataError(f"a name of type {type(name).__name__} ({name!r}) is not kept: make it text")


def _take_index(index: Any) -> tuple[tuple[Any, ...], tuple[Column, list[np.ndarray]] | None]:
    import pandas as pd

    if isinstance(index, pd.MultiIndex):
        raise DataError("an index of several levels is not kept: call reset_index() first")
    _check_name(index.name)
    if isinstance(index, pd.RangeIndex):
        return ("range", index.start, index.step, index.name), None
    return ("column", index.name), _take_series(index.to_series(), INDEX)


def _take_series(series: Any, name: Any) -> tuple[Column, list[np.ndarray]]:
    import pandas as pd

    name = int(name) if isinstance(name, np.integer) else name
    _check_name(name)
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        _check_type(dtype)
        return Column(name, "numpy", dtype.str), [native(series.to_numpy())]
    if isinstance(dtype, pd.CategoricalDtype):
        listed = dtype.categories
        try:
            packed = cells_to_bytes(listed.tolist())
        except DataError as error:
            raise DataError(f"column {name!r} {error}") from None
        made = (packed.hex(), str(listed.dtype), len(listed))
        return Column(name, "category", "category", made, bool(dtype.ordered)), [_objects_of(series)]
    if isinstance(dtype, pd.DatetimeTZDtype):
        zoned = Column(name, "zoned", str(dtype))
        try:
            kept = pd.DatetimeTZDtype(dtype.unit, _zone(str(dtype))) == dtype
        except (ValueError, TypeError, LookupError, OSError):
            kept = False
        if not kept:
            raise DataError(f"column {name!r} has a time zone without a name ({dtype}), which is not kept")
        return zoned, [series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().view(np.int64)]
    if isinstance(dtype, pd.StringDtype):
        called = "str" if dtype.na_value is not pd.NA else "string"
        return Column(name, "text", called), [_objects_of(series)]
    if str(dtype) in _NULLABLE:
        missing = series.isna().to_numpy()
        plain = series.array.copy()
        plain[missing] = str(dtype) != "boolean" and 0
        values = np.array(plain.to_numpy(dtype=_numpy_type(str(dtype))))
        return Column(name, "nullable", str(dtype)), [native(values), missing.view(np.uint8)]
    raise DataError(f"column {name!r} of type {dtype} is not kept: convert it to numbers, text or categories")


_NULLABLE = {f"{sign}Int{width}".replace("uInt", "UInt") for sign in ("", "u") for width in (8, 16, 32, 64)} | {
    "Float32",
    "Float64",
    "boolean",
}


def _objects_of(series: Any) -> np.ndarray:
    return np.asarray(series.to_numpy(dtype=object), dtype=object)


def frame_from_json(record: dict[str, Any]) -> FrameLayout:
    """Rebuild a layout from what its `to_json` gave."""
    columns = []
    for name, kind, dtype, *more in record["f"]:
        _check_plain(name)
        known = {"numpy", "text", "nullable", "category", "zoned"}
        if kind not in known or (kind == "nullable" and dtype not in _NULLABLE):
            raise CodecFileError(f"a column is of a kind ({kind!r}, {dtype!r}) that is not known")
        if kind == "numpy":
            _type(dtype)
        if kind == "text" and dtype not in ("str", "string"):
            raise CodecFileError(f"a column of text is of a type ({dtype!r}) that is not known")
        if kind == "category":
            (packed, listed, count), ordered = more
            columns.append(Column(name, kind, dtype, (str(packed), str(listed), int(count)), bool(ordered)))
        else:
            columns.append(Column(name, kind, str(dtype)))
    axis, index = tuple(record["x"]), tuple(record["i"])
    if index[0] not in ("range", "column") or len(index) != (4 if index[0] == "range" else 2) or not columns:
        raise CodecFileError("what the index was cannot be read")
    _check_plain(index[-1])
    return FrameLayout(tuple(columns), axis, index)


def _check_plain(name: Any) -> None:
    if not (name is None or type(name) in (str, int)):
        raise CodecFileError("the name of a column cannot be read")

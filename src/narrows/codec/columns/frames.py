"""Columns of several types: dictionaries of arrays, and pandas frames with their names, types and index."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from narrows.codec.columns.form import INDEX, Schema
from narrows.codec.columns.layout import (
    ArrayLayout,
    ColumnBatch,
    Layout,
    Target,
    check_type,
    held_type,
    holds_numbers,
    native,
)
from narrows.codec.container.cells import cells_from_bytes, cells_to_bytes
from narrows.errors import CodecFileError, DataError

__all__ = ["Column", "ColumnsLayout", "take_columns", "take_frame"]

_NULLABLE = {f"{sign}Int{width}".replace("uInt", "UInt") for sign in ("", "u") for width in (8, 16, 32, 64)}
_NULLABLE |= {"Float32", "Float64", "boolean"}


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str | int | None
    kind: str  # "numpy", "text", "nullable", "category" or "zoned"
    dtype: str  # as pandas calls it; of "numpy" as numpy does
    categories: tuple[str, str, int] | None = None  # the list, packed, in hexadecimal digits; its type; its length
    ordered: bool = False

    def held(self) -> list[np.dtype]:
        """Return what its values are held in: of a nullable column the values, and which are missing."""
        if self.kind == "numpy":
            return [held_type(np.dtype(self.dtype))]
        if self.kind == "nullable":
            return [held_type(_numpy_type(self.dtype)), np.dtype(np.uint8)]
        return [np.dtype(np.int64 if self.kind == "zoned" else object)]

    def joins(self, other: Column) -> bool:
        """Say whether values of another column may follow: text may be shorter than the first."""
        if self.kind == other.kind == "numpy":
            first, later = np.dtype(self.dtype), np.dtype(other.dtype)
            if first.kind == later.kind == "U" and later.itemsize <= first.itemsize:
                other = replace(other, dtype=self.dtype)
        return self == other

    def restored(self, parts: list[np.ndarray]) -> Any:
        """Return the column as pandas has it."""
        import pandas as pd

        values = parts[0]
        if self.kind == "numpy":
            return values if self.dtype != "|O" else pd.Series(values, dtype=object)
        if self.kind == "nullable":
            # Made of their two parts: `pd.array` takes a NaN for what is missing.
            kinds = {"f": pd.arrays.FloatingArray, "b": pd.arrays.BooleanArray}
            plain = values.astype(_numpy_type(self.dtype))
            return kinds.get(plain.dtype.kind, pd.arrays.IntegerArray)(plain, parts[1].astype(bool))
        if self.kind == "zoned":
            unit = self.dtype.partition("[")[2].partition(",")[0]
            return pd.Series(values.view(f"M8[{unit}]")).dt.tz_localize("UTC").dt.tz_convert(_zone(self.dtype))
        if self.categories is None:
            return pd.Series(values, dtype=self.dtype)
        packed, kind, count = self.categories
        categories = pd.Index(cells_from_bytes(bytes.fromhex(packed), count), dtype=kind)
        return pd.Categorical(values, categories=categories, ordered=self.ordered)


def _numpy_type(dtype: str) -> np.dtype:
    """Return numpy's type of the values of a nullable one: Int64's is int64."""
    return np.dtype(bool if dtype == "boolean" else dtype.lower())


def _zone(dtype: str) -> str:
    return dtype.partition(",")[2].strip(" ]")


@dataclass(frozen=True)
class ColumnsLayout(Layout):
    """A frame, or a dictionary of arrays."""

    columns: tuple[Column, ...]
    axis: tuple[Any, ...] | None = None  # type and name of the index of the columns; None for a dictionary
    index: tuple[Any, ...] | None = None  # ("range", start, step, name), or ("column", name): the last column is it

    @property
    def row_values(self) -> int:  # type: ignore[override]
        """How many values a row has."""
        return len(self.columns)

    @property
    def _own(self) -> tuple[Column, ...]:
        """The columns without the index."""
        return self.columns[:-1] if self.index is not None and self.index[0] == "column" else self.columns

    def schema(self) -> Schema:
        """Return the columns; of a nullable one also what is missing."""
        return [(column.name, dtype) for column in self.columns for dtype in column.held()]

    def numbers(self) -> list[tuple[Any, int | None]]:
        """Return names, and places of numbers; neither the index nor what is missing may be off."""
        found: list[tuple[Any, int | None]] = []
        place = 0
        for column in self._own:
            good = column.kind == "nullable" and column.dtype != "boolean"
            good = good or (column.kind == "numpy" and holds_numbers(np.dtype(column.dtype)))
            found.append((column.name, place if good else None))
            place += len(column.held())
        return found

    def to_json(self) -> Any:
        """Return plain values, for a file."""
        columns = []
        for column in self.columns:
            record: list[Any] = [column.name, column.kind, column.dtype]
            columns.append(record + ([list(column.categories), column.ordered] if column.categories else []))
        return {"c": columns, **({} if self.axis is None else {"x": list(self.axis), "i": list(self.index or ())})}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ColumnsLayout:
        """Rebuild a layout from what `to_json` gave."""
        columns = [_column_from_json(*column) for column in record["c"]]
        if not columns:
            raise CodecFileError("there are no columns")
        if "x" not in record:
            if any(column.kind != "numpy" or type(column.name) is not str for column in columns):
                raise CodecFileError("a column of a dictionary is of a kind that is not known")
            return cls(tuple(columns))
        axis, index = tuple(record["x"]), tuple(record["i"])
        good = len(axis) == (4 if axis[0] == "range" else 2) and len(index) == {"range": 4, "column": 2}.get(index[0])
        if not good or not all(_is_name(name) for name in (axis[1], index[-1])):
            raise CodecFileError("what the index was cannot be read")
        return cls(tuple(columns), axis, index)

    def describe(self, n_rows: int) -> dict[str, Any]:
        """Return what people want to know."""
        return {
            "what": "columns" if self.axis is None else "frame",
            "dtype": [column.dtype for column in self._own],
            "shape": (n_rows, len(self._own)),
            "columns": [column.name for column in self._own],
        }

    def joins(self, other: Layout, n_before: int) -> bool:
        """Say whether rows of other columns may follow: those of a frame may be counted on, or from the start again."""
        if not isinstance(other, ColumnsLayout) or self.axis != other.axis or len(self.columns) != len(other.columns):
            return False
        ours, theirs = self.index, other.index
        if ours and theirs and ours[0] == theirs[0] == "range":
            theirs = (theirs[0], theirs[1] if theirs[1] != ours[1] + n_before * ours[2] else ours[1], *theirs[2:])
        return ours == theirs and all(a.joins(b) for a, b in zip(self.columns, other.columns, strict=True))

    def target(self, n_rows: int) -> Target:
        """Return where rows go: an array for each part."""
        targets = []
        for column in self.columns:
            kinds = [np.dtype(column.dtype)] if column.kind == "numpy" else column.held()
            targets.append([ArrayLayout(dtype, (1,)).target(n_rows) for dtype in kinds])

        def finish(rows: range | np.ndarray) -> Any:
            arrays = [[made(rows)[:, 0] for _, made in target] for target in targets]
            if self.axis is None or self.index is None:
                return {str(column.name): parts[0] for column, parts in zip(self.columns, arrays, strict=True)}
            return self._frame(arrays, rows, self.axis, self.index)

        return [parts[0] for target in targets for parts, _ in target], finish

    def _frame(self, arrays: list[list[np.ndarray]], rows: range | np.ndarray, axis: Any, index: Any) -> Any:
        import pandas as pd

        found = [column.restored(parts) for column, parts in zip(self.columns, arrays, strict=True)]
        last = found.pop() if index[0] == "column" else None
        # The index comes last: columns would be sought by it.
        frame = pd.DataFrame(dict(enumerate(found)), index=pd.RangeIndex(len(rows)), copy=False)
        if index[0] == "column":
            frame.index = pd.Index(last, name=index[1])
        elif isinstance(rows, range):
            _, start, step, name = index
            # A range of a range is one.
            first, stop = start + rows.start * step, start + rows.stop * step
            frame.index = pd.RangeIndex(first, stop, rows.step * step, name=name)
        else:
            frame.index = pd.Index(index[1] + index[2] * rows, name=index[3])
        kind, name, *span = axis
        if kind == "range":
            frame.columns = pd.RangeIndex(span[0], span[0] + len(found) * span[1], span[1], name=name)
        else:
            frame.columns = pd.Index([column.name for column in self._own], dtype=kind, name=name)
        return frame


def take_columns(X: dict[str, Any]) -> ColumnBatch:
    """Take a dictionary of arrays apart."""
    arrays = {name: np.asarray(values) for name, values in X.items()}
    if not arrays:
        raise DataError("there are no columns")
    if len({array.shape for array in arrays.values()}) > 1 or next(iter(arrays.values())).ndim != 1:
        raise DataError("the columns must be of one dimension and of one length")
    for name in arrays:
        if not isinstance(name, str):
            raise DataError(f"a column is called {name!r}: names must be text")
    taken = [_take_array(array, name) for name, array in arrays.items()]
    return ColumnBatch(ColumnsLayout(tuple(column for column, _ in taken)), [part for _, (part,) in taken])


def take_frame(X: Any) -> ColumnBatch:
    """Take a pandas frame apart."""
    import pandas as pd

    if not isinstance(X, pd.DataFrame):
        raise DataError(f"a pandas {type(X).__name__} is not rows: give its to_frame()")
    if not X.shape[1]:
        raise DataError("the frame has no columns")
    taken = [_take_series(X.iloc[:, number], name) for number, name in enumerate(X.columns)]
    names, rows = X.columns, X.index
    if isinstance(rows, pd.MultiIndex):
        raise DataError("an index of several levels is not kept: call reset_index() first")
    if isinstance(rows, pd.RangeIndex):
        index: tuple[Any, ...] = ("range", rows.start, rows.step, _named(rows.name))
    else:
        index = ("column", _named(rows.name))
        taken.append(_take_series(rows.to_series(), INDEX))
    if isinstance(names, pd.RangeIndex):
        axis: tuple[Any, ...] = ("range", _named(names.name), names.start, names.step)
    elif isinstance(names, pd.MultiIndex) or str(names.dtype) not in ("object", "str", "string", "int64"):
        raise DataError(f"columns named by {type(names).__name__} of {names.dtype} are not kept: make the names text")
    else:
        axis = (str(names.dtype), _named(names.name))
    layout = ColumnsLayout(tuple(column for column, _ in taken), axis, index)
    return ColumnBatch(layout, [part for _, parts in taken for part in parts])


def _is_name(name: Any) -> bool:
    return name is None or type(name) in (str, int)


def _named(name: Any) -> Any:
    name = int(name) if isinstance(name, np.integer) else name
    if not _is_name(name):
        raise DataError(f"a name of type {type(name).__name__} ({name!r}) is not kept: make it text")
    return name


def _take_array(array: np.ndarray, name: Any) -> tuple[Column, list[np.ndarray]]:
    return Column(name, "numpy", check_type(array.dtype).str), [native(array)]


def _take_series(series: Any, name: Any) -> tuple[Column, list[np.ndarray]]:
    import pandas as pd

    name, dtype = _named(name), series.dtype
    if isinstance(dtype, np.dtype):
        return _take_array(series.to_numpy(), name)
    if isinstance(dtype, pd.CategoricalDtype):
        listed = dtype.categories
        try:
            packed = cells_to_bytes(listed.tolist())
        except DataError as error:
            raise DataError(f"column {name!r} {error}") from None
        made = (packed.hex(), str(listed.dtype), len(listed))
        return Column(name, "category", "category", made, bool(dtype.ordered)), [_objects_of(series)]
    if isinstance(dtype, pd.DatetimeTZDtype):
        try:
            kept = pd.DatetimeTZDtype(dtype.unit, _zone(str(dtype))) == dtype
        except (ValueError, TypeError, LookupError, OSError):
            kept = False
        if not kept:
            raise DataError(f"column {name!r} has a time zone without a name ({dtype}), which is not kept")
        utc = series.dt.tz_convert("UTC").dt.tz_localize(None)
        return Column(name, "zoned", str(dtype)), [utc.to_numpy().view(np.int64)]
    if isinstance(dtype, pd.StringDtype):
        return Column(name, "text", "str" if dtype.na_value is not pd.NA else "string"), [_objects_of(series)]
    if str(dtype) in _NULLABLE:
        missing = series.isna().to_numpy()
        plain = series.array.copy()
        plain[missing] = str(dtype) != "boolean" and 0
        values = np.array(plain.to_numpy(dtype=_numpy_type(str(dtype))))
        return Column(name, "nullable", str(dtype)), [native(values), missing.view(np.uint8)]
    raise DataError(f"column {name!r} of type {dtype} is not kept: convert it to numbers, text or categories")


def _objects_of(series: Any) -> np.ndarray:
    return np.asarray(series.to_numpy(dtype=object), dtype=object)


def _column_from_json(name: Any, kind: str, dtype: str, *more: Any) -> Column:
    known = {"nullable": _NULLABLE, "text": {"str", "string"}}.get(kind, {dtype})
    if not _is_name(name) or kind not in ("numpy", "text", "nullable", "category", "zoned") or dtype not in known:
        raise CodecFileError(f"a column is of a kind ({kind!r}, {dtype!r}) that is not known")
    if kind == "numpy":
        check_type(np.dtype(str(dtype)))
    if kind == "category":
        (packed, listed, count), ordered = more
        return Column(name, kind, str(dtype), (str(packed), str(listed), int(count)), bool(ordered))
    return Column(name, kind, str(dtype))

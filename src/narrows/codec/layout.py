"""What people hand in, as columns or pictures; and what they get back, as it was."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.codec.sinks import ArraySink, ColumnsSink
from narrows.errors import CodecFileError, DataError

if TYPE_CHECKING:
    from narrows.codec.columns import Schema
    from narrows.codec.sinks import Sink

__all__ = ["ArrayLayout", "ColumnsLayout", "Given", "Layout", "layout_from_json", "native", "take"]

_MOST_CELL = 1 << 16


@dataclass(frozen=True)
class Given:
    """What came in.

    Attributes
    ----------
    layout : Layout
        What it was.
    parts : list of ndarray
        One array for each column of its schema; or of pictures one array (n, height, width[, channels]) of uint8.
    """

    layout: Layout
    parts: list[np.ndarray]

    @property
    def n_rows(self) -> int:
        """How many rows."""
        return len(self.parts[0]) if self.parts else 0

    def cut(self, first: int, last: int) -> list[np.ndarray]:
        """Return the parts of some rows."""
        return [part[first:last] for part in self.parts]

    def pick(self, rows: np.ndarray) -> Given:
        """Return some rows."""
        return Given(self.layout, [part[rows] for part in self.parts])


class Layout(ABC):
    """What the data was before it became columns."""

    picture: tuple[int, ...] | None = None
    row_values: int

    @abstractmethod
    def schema(self) -> Schema:
        """Return the columns."""

    @abstractmethod
    def numbers(self) -> list[tuple[Any, int | None]]:
        """Return the columns as their owner counts them: a name, and the place in the schema of one of numbers."""

    @abstractmethod
    def to_json(self) -> Any:
        """Return plain values, for a file."""

    @abstractmethod
    def describe(self, n_rows: int) -> dict[str, Any]:
        """Return what people want to know."""

    @abstractmethod
    def sink(self, n_rows: int, rows: range | np.ndarray | None = None) -> Sink:
        """Return what gathers so many rows; ``rows`` says which of the file they are."""

    def joins(self, other: Layout, n_before: int) -> bool:
        """Say whether rows of another layout may follow so many of this one."""
        return self == other


def holds_numbers(dtype: np.dtype) -> bool:
    """Return whether values of a type are numbers that a bound can be asked for."""
    return dtype.kind in "iuf" and dtype.itemsize <= 8


@dataclass(frozen=True)
class ArrayLayout(Layout):
    """An array.

    Attributes
    ----------
    dtype : numpy.dtype
        Its type, byte order and all.
    row_shape : tuple of int
        The shape of a row.
    order : str
        "C", or "F" for Fortran's.
    picture : tuple of int or None
        The shape rows are coded in, if they are pictures.
    names : tuple of str or None
        What the columns are called, if anything.
    """

    dtype: np.dtype
    row_shape: tuple[int, ...]
    order: str = "C"
    picture: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None

    @property
    def row_values(self) -> int:  # type: ignore[override]
        """How many values a row has."""
        return math.prod(self.row_shape)

    def schema(self) -> Schema:
        """Return the columns."""
        names = self.names if self.names is not None else range(self.row_values)
        held = _held(self.dtype)
        return [(name, held) for name in names]

    def numbers(self) -> list[tuple[Any, int | None]]:
        """Return names, and places of numbers."""
        good = holds_numbers(self.dtype)
        return [(name, place if good else None) for place, (name, _) in enumerate(self.schema())]

    def to_json(self) -> Any:
        """Return plain values, for a file."""
        record: list[Any] = [self.dtype.str, list(self.row_shape)]
        extra: dict[str, Any] = {}
        if self.order != "C":
            extra["order"] = self.order
        if self.picture is not None and self.picture != self.row_shape:
            extra["picture"] = list(self.picture)
        elif self.picture is not None:
            extra["picture"] = 1
        if self.names is not None:
            extra["names"] = list(self.names)
        return [*record, extra] if extra else record

    def describe(self, n_rows: int) -> dict[str, Any]:
        """Return what people want to know."""
        found: dict[str, Any] = {
            "what": "pictures" if self.picture else "array",
            "dtype": self.dtype.str,
            "shape": (n_rows, *self.row_shape),
            "columns": None if self.names is None else list(self.names),
        }
        return found | ({"image_shape": self.picture} if self.picture else {})

    def joins(self, other: Layout, n_before: int) -> bool:
        """Say whether rows of another layout may follow; the order in memory is the first one's."""
        return isinstance(other, ArrayLayout) and replace(other, order=self.order) == self

    def sink(self, n_rows: int, rows: range | np.ndarray | None = None) -> Sink:
        """Return what gathers rows."""
        return ArraySink(self, n_rows)


@dataclass(frozen=True)
class ColumnsLayout(Layout):
    """Named columns, each an array: what `narrows.tables.read_named` gives.

    Attributes
    ----------
    columns : tuple of (str, numpy.dtype)
        Names and types.
    """

    columns: tuple[tuple[str, np.dtype], ...]

    @property
    def row_values(self) -> int:  # type: ignore[override]
        """How many values a row has."""
        return len(self.columns)

    def schema(self) -> Schema:
        """Return the columns."""
        return [(name, _held(dtype)) for name, dtype in self.columns]

    def numbers(self) -> list[tuple[Any, int | None]]:
        """Return names, and places of numbers."""
        return [(name, place if holds_numbers(kind) else None) for place, (name, kind) in enumerate(self.columns)]

    def to_json(self) -> Any:
        """Return plain values, for a file."""
        return {"d": [[name, dtype.str] for name, dtype in self.columns]}

    def describe(self, n_rows: int) -> dict[str, Any]:
        """Return what people want to know."""
        return {
            "what": "columns",
            "dtype": [dtype.str for _, dtype in self.columns],
            "shape": (n_rows, len(self.columns)),
            "columns": [name for name, _ in self.columns],
        }

    def joins(self, other: Layout, n_before: int) -> bool:
        """Say whether rows of another layout may follow; text may be shorter than the first."""
        if not isinstance(other, ColumnsLayout) or len(other.columns) != len(self.columns):
            return False
        return all(
            name == also and (dtype == alike or (dtype.kind == alike.kind == "U" and alike.itemsize <= dtype.itemsize))
            for (name, dtype), (also, alike) in zip(self.columns, other.columns, strict=True)
        )

    def sink(self, n_rows: int, rows: range | np.ndarray | None = None) -> Sink:
        """Return what gathers rows."""
        return ColumnsSink({name: ArrayLayout(dtype, ()).sink(n_rows) for name, dtype in self.columns})


def _held(dtype: np.dtype) -> np.dtype:
    """Return what values of a type are held in while they are columns."""
    if dtype.kind in "OUS":
        return np.dtype(object)
    if dtype.kind in "mM":
        return np.dtype(np.int64)
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return dtype.newbyteorder("=")


def native(values: np.ndarray) -> np.ndarray:
    """Return an array as it is held: of this machine's byte order, dates and truth values as whole numbers."""
    if values.dtype.kind in "US":
        try:
            held = np.empty(values.shape, dtype=object)
            held[...] = values.tolist() if values.ndim < 2 else values.astype(object)
        except ValueError as error:
            raise DataError(f"text in the array cannot be read: {error}") from None
        return held
    if not values.dtype.isnative:
        values = values.byteswap().view(values.dtype.newbyteorder("="))
    if values.dtype.kind in "mM":
        return values.view(np.int64)
    return values.view(np.uint8) if values.dtype.kind == "b" else values


def take(X: Any, image_shape: tuple[int, ...] | None = None) -> Given:
    """Take what is handed in apart.

    Parameters
    ----------
    X : array-like, Table, frame or dict of arrays
        Rows first.
    image_shape : tuple of int or None
        Height, width and perhaps channels of the pictures that rows of uint8 are.

    Raises
    ------
    DataError
        If it is nothing that could be given back as it is.
    """
    from narrows.tables.table import Table

    if isinstance(X, Given):
        return X
    if isinstance(X, Table):
        shape = image_shape or (X.shape if len(X.shape) in (2, 3) and X.values.dtype == np.uint8 else None)
        return _take_array(np.asarray(X.values), shape, None if X.columns is None else tuple(X.columns))
    home = type(X).__module__.partition(".")[0]
    if home == "pandas":
        from narrows.codec.framing import take_frame

        return take_frame(X)
    if home == "polars":
        raise DataError("a polars frame is not kept as one: give its to_pandas(), or write it to a Parquet file")
    if isinstance(X, dict):
        return _take_columns(X)
    if hasattr(X, "tocsr"):
        raise DataError("a sparse matrix is not kept as one: give its toarray()")
    if isinstance(X, np.ma.MaskedArray):
        raise DataError("a masked array is not kept as one: give its filled(), or a float array with NaN")
    return _take_array(np.asarray(X), image_shape, None)


def _take_columns(X: dict[str, Any]) -> Given:
    arrays = {name: np.asarray(values) for name, values in X.items()}
    if not arrays:
        raise DataError("there are no columns")
    if len({array.shape for array in arrays.values()}) > 1 or next(iter(arrays.values())).ndim != 1:
        raise DataError("the columns must be of one dimension and of one length")
    for name, array in arrays.items():
        if not isinstance(name, str):
            raise DataError(f"a column is called {name!r}: names must be text")
        _check_type(array.dtype)
    layout = ColumnsLayout(tuple((name, array.dtype) for name, array in arrays.items()))
    return Given(layout, [native(array) for array in arrays.values()])


def _check_type(dtype: np.dtype) -> None:
    if dtype.fields is not None or dtype.subdtype is not None or dtype.kind not in "biufcOUSmM":
        raise DataError(f"values of type {dtype} cannot be kept: give each field as a column of its own")
    if dtype.kind in "US" and not 0 < dtype.itemsize <= _MOST_CELL:
        raise DataError(f"text of type {dtype} cannot be kept: make it an array of objects")


def _take_array(array: np.ndarray, image_shape: tuple[int, ...] | None, names: tuple[str, ...] | None) -> Given:
    if array.ndim == 0:
        raise DataError("a single value is not rows: give an array of one dimension or more")
    _check_type(array.dtype)
    n, row_shape = len(array), array.shape[1:]
    values = math.prod(row_shape)
    if not values:
        raise DataError(f"an array of shape {array.shape} has no columns")
    if names is not None and len(names) != values:
        names = None
    picture = _picture(array, image_shape)
    if picture is not None:
        layout = ArrayLayout(array.dtype, row_shape, _order(array), picture, names)
        return Given(layout, [np.reshape(array, (n, *picture))])
    layout = ArrayLayout(array.dtype, row_shape, _order(array) if array.ndim == 2 else "C", None, names)
    flat = native(array.reshape(n, values))
    return Given(layout, [flat[:, number] for number in range(values)])


def _order(array: np.ndarray) -> str:
    return "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"


def _picture(array: np.ndarray, image_shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Return the shape of the pictures that rows are, None if they are none."""
    if array.dtype != np.uint8:
        return None
    if image_shape is not None:
        shape = tuple(int(size) for size in image_shape)
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise DataError(f"image_shape must be height and width, and perhaps channels, not {image_shape}")
        own = array.shape[1:]
        if math.prod(shape) != math.prod(own) or (len(own) > 1 and _thick(own) != _thick(shape)):
            raise DataError(f"rows of shape {own} are no pictures of image_shape {shape}")
        return shape
    if array.ndim == 3 or (array.ndim == 4 and array.shape[3] <= 4):
        return array.shape[1:]
    return None


def _thick(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size > 1]


def layout_from_json(record: Any) -> Layout:
    """Rebuild a layout from what its `to_json` gave.

    Raises
    ------
    CodecFileError
        If it is none.
    """
    try:
        if isinstance(record, list):
            return _array_from_json(*record)
        if "d" in record:
            columns = tuple((str(name), _type(dtype)) for name, dtype in record["d"])
            return ColumnsLayout(columns)
        from narrows.codec.framing import frame_from_json

        return frame_from_json(record)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, SyntaxError) as error:
        if isinstance(error, CodecFileError):
            raise
        raise CodecFileError(f"what the data is cannot be read ({error})") from None


def _type(name: str) -> np.dtype:
    dtype = np.dtype(str(name))
    try:
        _check_type(dtype)
    except DataError as error:
        raise CodecFileError(str(error)) from None
    return dtype


def _array_from_json(dtype: str, row_shape: list[int], extra: dict[str, Any] | None = None) -> ArrayLayout:
    extra = extra or {}
    shape = tuple(int(size) for size in row_shape)
    picture = extra.get("picture")
    picture = shape if picture == 1 else None if picture is None else tuple(int(size) for size in picture)
    names = extra.get("names")
    if min((*shape, *(picture or ()), 1)) < 1 or math.prod(shape) > 1 << 31 or len(shape) > 31:
        raise CodecFileError("the shape of a row cannot be")
    if picture is not None and (math.prod(picture) != math.prod(shape) or _type(dtype) != np.uint8):
        raise CodecFileError("the shape of a picture is not that of a row")
    if names is not None and len(names) != math.prod(shape):
        raise CodecFileError("there are more or fewer names than columns")
    order = "F" if extra.get("order") == "F" else "C"
    names = None if names is None else tuple(str(name) for name in names)
    return ArrayLayout(_type(dtype), shape, order, picture, names)

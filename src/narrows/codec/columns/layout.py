"""What data was before it became columns, and how it is put together again: the face of all layouts, and arrays."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import CodecFileError, DataError

if TYPE_CHECKING:
    from narrows.codec.columns.form import Schema

__all__ = ["ArrayLayout", "ColumnBatch", "Layout", "Target", "check_type", "held_type", "holds_numbers", "native"]

_MOST_CELL = 1 << 16

Target = tuple[list[np.ndarray], Callable[["range | np.ndarray"], Any]]
"""One array for each part, to put rows into; and what makes of them, when full, the data: of which rows it is told."""


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
    def target(self, n_rows: int) -> Target:
        """Return where so many rows go."""

    @abstractmethod
    def joins(self, other: Layout, n_before: int) -> bool:
        """Say whether rows of another layout may follow so many of this one."""


@dataclass(frozen=True)
class ColumnBatch:
    """Rows taken apart."""

    layout: Layout
    parts: list[np.ndarray]  # one for each column of the schema; or of pictures one (n, height, width[, channels])

    @property
    def n_rows(self) -> int:
        """How many rows."""
        return len(self.parts[0]) if self.parts else 0

    def cut(self, first: int, last: int) -> list[np.ndarray]:
        """Return the parts of some rows."""
        return [part[first:last] for part in self.parts]

    def pick(self, rows: np.ndarray) -> ColumnBatch:
        """Return some rows."""
        return ColumnBatch(self.layout, [part[rows] for part in self.parts])

    def matrix(self) -> np.ndarray:
        """Return rows of one type as one array of two dimensions."""
        if self.layout.picture is not None:
            return self.parts[0].reshape(self.n_rows, -1)
        return np.stack(self.parts, axis=1)


@dataclass(frozen=True)
class ArrayLayout(Layout):
    """An array."""

    dtype: np.dtype
    row_shape: tuple[int, ...]
    order: Any = "C"  # or "F" for Fortran's
    picture: tuple[int, ...] | None = None  # the shape rows are coded in, if they are pictures
    names: tuple[str, ...] | None = None

    @property
    def row_values(self) -> int:  # type: ignore[override]
        """How many values a row has."""
        return math.prod(self.row_shape)

    def schema(self) -> Schema:
        """Return the columns."""
        held = held_type(self.dtype)
        return [(name, held) for name in (self.names if self.names is not None else range(self.row_values))]

    def numbers(self) -> list[tuple[Any, int | None]]:
        """Return names, and places of numbers."""
        return [(name, place if holds_numbers(self.dtype) else None) for place, (name, _) in enumerate(self.schema())]

    def to_json(self) -> Any:
        """Return plain values, for a file."""
        extra: dict[str, Any] = {} if self.order == "C" else {"order": self.order}
        if self.picture is not None:
            extra["picture"] = 1 if self.picture == self.row_shape else list(self.picture)
        if self.names is not None:
            extra["names"] = list(self.names)
        return [self.dtype.str, list(self.row_shape), *([extra] if extra else [])]

    @classmethod
    def from_json(cls, dtype: str, row_shape: list[int], extra: dict[str, Any] | None = None) -> ArrayLayout:
        """Rebuild a layout from what `to_json` gave."""
        extra = extra or {}
        shape, kind = tuple(int(size) for size in row_shape), check_type(np.dtype(str(dtype)))
        picture, names = extra.get("picture"), extra.get("names")
        picture = shape if picture == 1 else None if picture is None else tuple(int(size) for size in picture)
        if min((*shape, *(picture or ()), 1)) < 1 or math.prod(shape) > 1 << 31 or len(shape) > 31:
            raise CodecFileError("the shape of a row cannot be")
        if picture is not None and (math.prod(picture) != math.prod(shape) or kind != np.uint8):
            raise CodecFileError("the shape of a picture is not that of a row")
        if names is not None and len(names) != math.prod(shape):
            raise CodecFileError("there are more or fewer names than columns")
        names = None if names is None else tuple(str(name) for name in names)
        return cls(kind, shape, "F" if extra.get("order") == "F" else "C", picture, names)

    def describe(self, n_rows: int) -> dict[str, Any]:
        """Return what people want to know."""
        names = None if self.names is None else list(self.names)
        found: dict[str, Any] = {"what": "pictures" if self.picture else "array", "dtype": self.dtype.str}
        found |= {"shape": (n_rows, *self.row_shape), "columns": names}
        return found | ({"image_shape": self.picture} if self.picture else {})

    def joins(self, other: Layout, n_before: int) -> bool:
        """Say whether rows of another layout may follow; the order in memory is the first one's."""
        return isinstance(other, ArrayLayout) and replace(other, order=self.order) == self

    def target(self, n_rows: int) -> Target:
        """Return where rows go: parts of one array."""
        order: Any = "C" if self.picture else self.order
        array = np.empty((n_rows, *self.row_shape), self.dtype, order=order)
        held = array.view(self.dtype.str[0] + "i8") if self.dtype.kind in "mM" else array

        def finish(rows: range | np.ndarray) -> np.ndarray:  # noqa: ARG001
            return np.asarray(array, order=self.order)

        if self.picture is not None:
            return [held.reshape(n_rows, *self.picture)], finish
        flat = held.reshape(n_rows, self.row_values)
        return [flat[:, place] for place in range(self.row_values)], finish


def holds_numbers(dtype: np.dtype) -> bool:
    """Return whether values of a type are numbers that a bound can be asked for."""
    return dtype.kind in "iuf" and dtype.itemsize <= 8


def held_type(dtype: np.dtype) -> np.dtype:
    """Return what values of a type are held in while they are columns."""
    if dtype.kind in "OUS":
        return np.dtype(object)
    if dtype.kind in "mM":
        return np.dtype(np.int64)
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")


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


def check_type(dtype: np.dtype) -> np.dtype:
    """Return a type whose values can be kept, or refuse it."""
    if dtype.fields is not None or dtype.subdtype is not None or dtype.kind not in "biufcOUSmM":
        raise DataError(f"values of type {dtype} cannot be kept: give each field as a column of its own")
    if dtype.kind in "US" and not 0 < dtype.itemsize <= _MOST_CELL:
        raise DataError(f"text of type {dtype} cannot be kept: make it an array of objects")
    return dtype

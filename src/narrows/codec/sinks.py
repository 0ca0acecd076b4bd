"""Restored rows, gathered into what they were."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from narrows.codec.layout import ArrayLayout

__all__ = ["ArraySink", "ColumnsSink", "Sink"]


class Sink(ABC):
    """Gathers rows and gives them back as what they were."""

    @abstractmethod
    def put(self, places: slice | np.ndarray, parts: list[np.ndarray]) -> None:
        """Take rows for some places."""

    @abstractmethod
    def finish(self) -> Any:
        """Return the whole."""


class ArraySink(Sink):
    """Gathers an array.

    Parameters
    ----------
    layout : ArrayLayout
        What it is.
    n_rows : int
        How many rows.
    """

    def __init__(self, layout: ArrayLayout, n_rows: int) -> None:
        self.layout = layout
        shape = (n_rows, *layout.row_shape)
        order: Any = layout.order
        self.array = np.empty(shape, layout.dtype, order=order)
        held = self.array.view(layout.dtype.str.replace("M8", "i8").replace("m8", "i8").split("[")[0])
        self._flat: Any = held if layout.picture is not None else _flat_view(held, n_rows, layout)

    def put(self, places: slice | np.ndarray, parts: list[np.ndarray]) -> None:
        """Take rows for some places."""
        if self.layout.picture is not None:
            self._flat[places] = parts[0].reshape(len(parts[0]), *self.layout.row_shape)
            return
        # A patch of columns laid out as rows first, in one go: cell by cell the array would be gone over d times.
        if len({part.dtype for part in parts}) == 1 and parts[0].dtype.kind != "O":
            self._flat[places] = np.stack(parts, 1)
            return
        for number, part in enumerate(parts):
            self._flat[places, number] = part

    def finish(self) -> np.ndarray:
        """Return the array."""
        return self.array


def _flat_view(array: np.ndarray, n_rows: int, layout: ArrayLayout) -> np.ndarray:
    if len(layout.row_shape) == 1 or not array.size:
        return array.reshape(n_rows, -1) if array.size else array.reshape(n_rows, layout.row_values)
    # Of Fortran's order a view does not exist; only arrays of one column or two dimensions are kept in it.
    return array.reshape(n_rows, -1)


class ColumnsSink(Sink):
    """Gathers named columns.

    Parameters
    ----------
    sinks : dict of str to Sink
        One for each.
    """

    def __init__(self, sinks: dict[str, Sink]) -> None:
        self.sinks = sinks

    def put(self, places: slice | np.ndarray, parts: list[np.ndarray]) -> None:
        """Take rows for some places."""
        for sink, part in zip(self.sinks.values(), parts, strict=True):
            sink.put(places, [part])

    def finish(self) -> dict[str, np.ndarray]:
        """Return the columns."""
        return {name: sink.finish() for name, sink in self.sinks.items()}

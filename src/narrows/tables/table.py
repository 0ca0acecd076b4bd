"""What reading gives: a table in memory, or a file to be read in pieces."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from narrows.errors import DataError

__all__ = ["SegmentedFile", "Table", "numeric", "numeric_dtype"]


@dataclass(frozen=True)
class Table:
    """A file's numbers in memory.

    Attributes
    ----------
    values : ndarray of shape (n_rows, n_features)
        The numbers, of the file's own type where all columns share one. Rows of more than one dimension
        (images) are laid out flat. Of an ``.npy`` file this is a read-only memory map.
    columns : list of str or None
        Column names, None where the file has none.
    shape : tuple of int
        The shape of one row before it was laid out flat: ``(28, 28)`` for images, ``(n_features,)`` for a
        table.
    path : Path
        Where it came from.
    """

    values: np.ndarray
    columns: list[str] | None
    shape: tuple[int, ...]
    path: Path


class SegmentedFile(ABC):
    """A file read as segments, each in pieces of bounded size; it can be read again and again, in any order.

    Attributes
    ----------
    n_features : int
        Columns (values in a row, for images).
    dtype : numpy.dtype
        What every piece holds.
    segment_rows : sequence of int
        Rows in each segment, none of them zero; their sum is the number of rows.
    columns : list of str or None
        Column names, None where the file has none.
    shape : tuple of int
        The shape of one row before it is laid out flat.
    path : Path
        The file.
    """

    n_features: int
    dtype: np.dtype
    segment_rows: Sequence[int]
    columns: list[str] | None
    shape: tuple[int, ...]
    path: Path

    @abstractmethod
    def read(self, segment: int, piece_rows: int) -> Iterator[np.ndarray]:
        """Yield a segment's rows in file order."""


def numeric_dtype(dtype: np.dtype, what: str) -> np.dtype:
    """Return the type to hold ``dtype`` in, in this machine's byte order; refuse what is not a real number."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f":
        return np.dtype(np.float32) if dtype.itemsize <= 4 else np.dtype(np.float64)
    if dtype.kind in "iu":
        return dtype.newbyteorder("=")
    raise DataError(f"{what} holds values of type {dtype}, which are not numbers narrows can use.")


def numeric(array: np.ndarray, what: str) -> tuple[np.ndarray, tuple[int, ...]]:
    """Lay an array out as rows of numbers."""
    dtype = numeric_dtype(array.dtype, what)
    if array.ndim == 0:
        raise DataError(f"{what} is a single number, not rows.")
    if array.shape[0] == 0:
        raise DataError(f"{what} has no rows.")
    if array.size == 0:
        raise DataError(f"{what} has no columns: its shape is {array.shape}.")
    shape = array.shape[1:] or (1,)
    return array.reshape(array.shape[0], -1).astype(dtype, copy=False), shape

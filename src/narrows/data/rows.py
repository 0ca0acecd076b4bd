"""Where rows come from: one array in memory, sparse rows, or a file read in pieces.

Everything above this module sees rows as :class:`Rows`; nothing here knows a DataFrame or a file name. An array,
dense or sparse, is kept as it is (``uint8`` stays ``uint8``) and turned into tensors one batch at a time. A file
is a :class:`Segmented`: some segments that can each be read on their own, in pieces of bounded size; see
:mod:`narrows.data.streams`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from narrows.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = [
    "ArrayRows",
    "Pair",
    "PairedRows",
    "Rows",
    "Segmented",
    "SparseRows",
    "apply_in_blocks",
    "as_tensor",
    "plain_rows",
    "sample_numbers",
    "sample_rows",
]

# Types torch can index and convert itself; the others go through numpy, a batch at a time.
_TORCH_TYPES = frozenset(["uint8", "int8", "int16", "int32", "int64", "float32", "float64", "bool"])

PAD_ROWS = 64


class Segmented(Protocol):
    """What a file must offer to be read as a stream: segments, each read front to back in pieces.

    Attributes
    ----------
    n_features : int
        Columns.
    dtype : numpy.dtype
        What the pieces hold: float32, float64, or an integer type (never object).
    segment_rows : sequence of int
        Rows in each segment; their sum is the number of rows.
    """

    n_features: int
    dtype: np.dtype
    segment_rows: Sequence[int]

    def read(self, segment: int, piece_rows: int) -> Iterator[np.ndarray]:
        """Yield the segment's rows in file order, at most ``piece_rows`` at a time, each ``(rows, n_features)``."""
        ...


class Rows(Protocol):
    """Rows to train on or to encode, in the data's own type and units.

    Attributes
    ----------
    n_rows, n_features : int
        The shape.
    dtype : numpy.dtype
        The type of the values as given.
    """

    n_rows: int
    n_features: int
    dtype: np.dtype

    def blocks(self, rows: int) -> Iterator[Tensor]:
        """Yield all rows in order, ``rows`` at a time (the last block may be shorter), each ``(rows, n_features)``."""
        ...

    def batches(self, rows: int, seed: int, skip: int = 0) -> Iterator[Tensor]:
        """Yield all rows once in the random order that ``seed`` gives, from batch number ``skip`` on."""
        ...


def as_tensor(array: np.ndarray) -> Tensor:
    """View an array as a tensor where torch knows its type, otherwise convert it to floats.

    Read-only arrays (memory maps, buffers) are viewed too: nothing here writes to its input.
    """
    if array.dtype.name not in _TORCH_TYPES or not array.dtype.isnative:
        array = array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
    if any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(array)


class ArrayRows:
    """Rows of a two-dimensional array, or some of them by number, without copying it.

    Parameters
    ----------
    array : ndarray of shape (n, n_features)
        Any numeric type, writable or not, in memory or memory-mapped.
    index : ndarray of int, optional
        The numbers of the rows that count; all by default.
    """

    def __init__(self, array: np.ndarray, index: np.ndarray | None = None) -> None:
        self._array = array
        self._index = index
        self.n_rows = len(array) if index is None else len(index)
        self.n_features = array.shape[1]
        self.dtype = array.dtype
        direct = array.dtype.name in _TORCH_TYPES and array.flags.c_contiguous and not isinstance(array, np.memmap)
        self._tensor = as_tensor(array) if direct else None

    def subset(self, index: np.ndarray) -> ArrayRows:
        """Return the rows with these numbers, counted among the rows of this object."""
        return ArrayRows(self._array, index if self._index is None else self._index[index])

    def take(self, index: np.ndarray) -> Tensor:
        """Return a copy of the rows with these numbers."""
        where = index if self._index is None else self._index[index]
        if self._tensor is not None:
            return self._tensor.index_select(0, torch.from_numpy(where))
        return as_tensor(self._array[where])

    def blocks(self, rows: int) -> Iterator[Tensor]:
        """Yield all rows in order; without an index these are views, so do not write to them."""
        for start in range(0, self.n_rows, rows):
            if self._index is None:
                yield as_tensor(self._array[start : start + rows])
            else:
                yield self.take(np.arange(start, min(start + rows, self.n_rows)))

    def batches(self, rows: int, seed: int, skip: int = 0) -> Iterator[Tensor]:
        """Yield all rows once in a random order, the last batch as short as it comes."""
        order = np.random.default_rng(seed).permutation(self.n_rows)
        for start in range(skip * rows, self.n_rows, rows):
            yield self.take(order[start : start + rows])


class SparseRows:
    """Rows of a compressed sparse row matrix, made dense one batch at a time.

    Parameters
    ----------
    matrix : csr_array of shape (n, n_features)
        Absent entries are zeros.
    """

    def __init__(self, matrix: csr_array) -> None:
        self._matrix = matrix
        self.n_rows, self.n_features = matrix.shape
        self.dtype = matrix.dtype

    def subset(self, index: np.ndarray) -> SparseRows:
        """Return the rows with these numbers (their stored entries are copied)."""
        return SparseRows(self._matrix[index])

    def take(self, index: np.ndarray) -> Tensor:
        """Return the rows with these numbers, dense."""
        return as_tensor(self._matrix[index].toarray())

    def blocks(self, rows: int) -> Iterator[Tensor]:
        """Yield all rows in order, dense, ``rows`` at a time."""
        for start in range(0, self.n_rows, rows):
            yield as_tensor(self._matrix[start : start + rows].toarray())

    def batches(self, rows: int, seed: int, skip: int = 0) -> Iterator[Tensor]:
        """Yield all rows once in a random order, the last batch as short as it comes."""
        order = np.random.default_rng(seed).permutation(self.n_rows)
        for start in range(skip * rows, self.n_rows, rows):
            yield self.take(order[start : start + rows])


@dataclass(frozen=True)
class Pair:
    """A batch of rows and, for each, the row that goes with it.

    Attributes
    ----------
    rows, beside : Tensor, shape (rows, n_features) and (rows, ...)
        The clean rows, say, and their noisy versions.
    """

    rows: Tensor
    beside: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def device(self) -> Any:
        """Where the rows are."""
        return self.rows.device

    def to(self, device: Any) -> Pair:
        """Return the batch on another device."""
        return Pair(self.rows.to(device), self.beside.to(device))


class PairedRows:
    """Rows that each have another row beside them, drawn together.

    Parameters
    ----------
    rows : ArrayRows or SparseRows
        What a model is to give: these count as the data.
    beside : ArrayRows or SparseRows
        As many rows, in the same order.
    """

    def __init__(self, rows: Any, beside: Any) -> None:
        self.rows, self.beside = rows, beside
        self.n_rows, self.n_features, self.dtype = rows.n_rows, rows.n_features, rows.dtype

    def subset(self, index: np.ndarray) -> PairedRows:
        """Return the pairs with these numbers."""
        return PairedRows(self.rows.subset(index), self.beside.subset(index))

    def blocks(self, rows: int) -> Iterator[Any]:
        """Yield all pairs in order, ``rows`` at a time."""
        for first, second in zip(self.rows.blocks(rows), self.beside.blocks(rows), strict=True):
            yield Pair(first, second)

    def batches(self, rows: int, seed: int, skip: int = 0) -> Iterator[Any]:
        """Yield all pairs once in a random order, the same for both."""
        both = zip(self.rows.batches(rows, seed, skip), self.beside.batches(rows, seed, skip), strict=True)
        for first, second in both:
            yield Pair(first, second)


def plain_rows(rows: Any) -> Any:
    """Return the rows alone, where each may have another beside it."""
    return rows.rows if isinstance(rows, PairedRows) else rows


def sample_rows(rows: Any, limit: int, seed: int) -> Any:
    """Return at most ``limit`` of the rows, chosen at random, in their order."""
    return rows if rows.n_rows <= limit else rows.subset(sample_numbers(rows.n_rows, limit, seed))


def sample_numbers(n_rows: int, limit: int, seed: int) -> np.ndarray:
    """Return the numbers of at most ``limit`` of so many rows, chosen at random, rising."""
    if n_rows <= limit:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, limit, replace=False))


def apply_in_blocks(
    module: nn.Module, rows: Rows, function: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Apply a fitted module's function to all rows, a block at a time.

    Blocks are padded to a multiple of a fixed number of rows, so that one row alone is computed as it would be among a
    million; and nothing is held beyond the input, the result and a block.
    """
    result = np.empty((rows.n_rows, *shape), dtype)
    device = next((t.device for t in [*module.parameters(), *module.buffers()]), torch.device("cpu"))
    block_rows = int(np.clip(2**19 // max(1, rows.n_features) // PAD_ROWS * PAD_ROWS, PAD_ROWS, 1024))
    module.eval()
    start = 0
    with torch.no_grad():
        for block in rows.blocks(block_rows):
            size = len(block)
            if size % PAD_ROWS:
                spare = torch.zeros((-size % PAD_ROWS, block.shape[1]), dtype=block.dtype)
                block = torch.cat([block, spare])
            found = function(block.to(device))[:size].cpu()
            if not torch.isfinite(found).all():
                _refuse_overflow(found, block[:size], start)
            result[start : start + size] = found.numpy()
            start += size
    return result


def _refuse_overflow(found: Tensor, block: Tensor, start: int) -> None:
    """Refuse finite rows whose result is not: they are too far from what the model was fitted to."""
    wrong = ~torch.isfinite(found).flatten(1).all(1) if found.ndim > 1 else ~torch.isfinite(found)
    finite = torch.isfinite(block).all(1) if block.is_floating_point() else torch.ones_like(wrong)
    # A row with missing values may have missing results, but none that are infinite.
    wrong &= finite | torch.isinf(found).reshape(len(found), -1).any(1)
    if wrong.any():
        row = int(wrong.int().argmax())
        column = int(torch.nan_to_num(block[row].double()).abs().argmax())
        raise DataError(
            f"row {start + row} is too far from what the model was fitted to for a finite result: "
            f"its column {column} holds {float(block[row, column]):g}"
        )

"""Which rows are held out together: those that are equal, and those of one group."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from narrows.data.rows import Rows, plain_rows

__all__ = ["equal_rows", "held_out_rows"]

_BLOCK_ROWS = 1 << 14


def equal_rows(rows: Rows) -> np.ndarray | None:
    """Return a number for each row that it shares with the rows equal to it, None where all rows differ.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows.data.rows import ArrayRows
    >>> equal_rows(ArrayRows(np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))).tolist()
    [0, 1, 0]
    """
    given: Any = plain_rows(rows)
    # Whole numbers modulo 2^64: sums of them do not depend on the order, as sums of floats would.
    hashes = np.concatenate([_hashes(block.numpy()) for block in given.blocks(_BLOCK_ROWS)])
    _, first, numbers = np.unique(hashes, return_index=True, return_inverse=True)
    if len(first) == len(hashes):
        return None
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[numbers]


def _hashes(block: np.ndarray) -> np.ndarray:
    block = np.ascontiguousarray(block) + 0  # -0.0 is 0.0
    size = block.shape[1] * block.itemsize
    padded = np.zeros((len(block), -(-size // 8) * 8), np.uint8)
    padded[:, :size] = block.view(np.uint8).reshape(len(block), -1)
    words = padded.view(np.uint64)
    factors = np.random.default_rng(0).integers(1, 2**63, words.shape[1], dtype=np.uint64) * 2 + 1
    mixed = (words ^ (words >> np.uint64(29))) * factors
    return (mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64)


def held_out_rows(n_rows: int, n_held_out: int, folds: int, groups: np.ndarray | None, seed: int) -> list[np.ndarray]:
    """Choose the rows to hold out, at random, once or for each fold; rows of one group stay together.

    Groups of different sizes make the parts differ in size by about one group.
    """
    rng = np.random.default_rng(seed)
    if groups is None or len(np.unique(groups)) <= folds:
        order = rng.permutation(n_rows)
        cuts = [order[:n_held_out]] if folds == 1 else np.array_split(order, folds)
        return [np.sort(cut) for cut in cuts]
    _, numbers = np.unique(groups, return_inverse=True)
    rank = rng.permutation(int(numbers.max()) + 1)[numbers]
    order = np.argsort(rank, kind="stable")
    # The last row of each group, as a place in that order: only there may be cut.
    ends = np.flatnonzero(np.append(np.diff(rank[order]) != 0, True)) + 1
    wanted = [n_held_out] if folds == 1 else [round(n_rows * (k + 1) / folds) for k in range(folds - 1)]
    places = [int(ends[min(int(np.searchsorted(ends, place)), len(ends) - 2)]) for place in wanted]
    if folds == 1:
        return [np.sort(order[: places[0]])]
    return [np.sort(cut) for cut in np.split(order, sorted(set(places)))]


def as_groups(groups: Any, n_rows: int) -> np.ndarray | None:
    """Return the number of each row's group."""
    if groups is None:
        return None
    given = np.asarray(groups)
    if given.shape != (n_rows,):
        raise ValueError(f"groups must be one for each of {n_rows} rows, got shape {given.shape}")
    numbers: np.ndarray = np.unique(given.astype(str), return_inverse=True)[1]
    return numbers


def joined(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Return groups that hold together what either of two does."""
    if first is None or second is None:
        return second if first is None else first
    from scipy.sparse.csgraph import connected_components

    n_first = int(first.max()) + 1
    n_nodes = n_first + int(second.max()) + 1
    links = csr_array((np.ones(len(first)), (first, second + n_first)), shape=(n_nodes, n_nodes))
    labels: np.ndarray = connected_components(links, directed=False)[1]
    return labels[first]

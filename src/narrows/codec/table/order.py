"""The coding order: in which order the rows of a column are coded, and which rows of it are then known.

The *forward* order takes scattered rows, in chunks that grow as more is known. The *hierarchical* order takes every
512th row first, then the rows halfway between, and so on down to every row: each has a known row before it and one
behind it, as near as the rows of its level allow, and whole levels are coded at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = ["Step", "chunked", "coding_order", "scattered"]

_FIRST = 512
_CHUNK = 1 << 14
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Step:
    """Rows that are coded together.

    Attributes
    ----------
    rows, left, right : ndarray of int64
        The rows; the nearest known row before each, and behind it (the same one twice at an end).
    spacing : int
        Of the rows all multiples of this are known; 0 where nothing is known nearby.
    """

    rows: np.ndarray
    left: np.ndarray
    right: np.ndarray
    spacing: int = 0

    @classmethod
    def alone(cls, rows: np.ndarray) -> Step:
        """Return a step of rows without known neighbours."""
        return cls(rows, rows, rows)

    def only(self, mask: np.ndarray) -> Step:
        """Return the step without the rows that a mask leaves out."""
        return Step(self.rows[mask], self.left[mask], self.right[mask], self.spacing)


def chunked(groups: list[np.ndarray]) -> list[Step]:
    """Return steps through groups of rows, one group after another, larger as more rows are known."""
    steps, known = [], 0
    for group in groups:
        start = 0
        while start < len(group):
            stop = min(len(group), start + min(_CHUNK, max(48, known // 3)))
            steps.append(Step.alone(group[start:stop]))
            known += stop - start
            start = stop
    return steps


def scattered(rows: np.ndarray) -> np.ndarray:
    """Return the rows in an order whose every beginning is spread over all of them: early counts hold later."""
    return rows[np.argsort(rows.astype(np.uint64) * _GOLDEN, kind="stable")]


@lru_cache(maxsize=16)
def coding_order(n: int, *, hierarchical: bool) -> list[Step]:
    """Return the steps that together take every one of n rows once."""
    if not n:
        return []
    if not hierarchical:
        return chunked([scattered(np.arange(n))])
    steps, gap = [Step.alone(np.arange(0, n, _FIRST))], _FIRST // 2
    while gap:
        rows = np.arange(gap, n, 2 * gap)
        last = (n - 1) // (2 * gap) * (2 * gap)
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            left = part - gap
            steps.append(Step(part, left, np.where(part + gap <= last, part + gap, left), 2 * gap))
        gap //= 2
    return steps

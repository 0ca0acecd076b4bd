"""The coding order of a column's rows, and its values predicted from known ones.

The *forward* order takes scattered rows, in chunks that grow as more is known. The *hierarchical* order takes every
512th row first, then the rows halfway between, and so on down to every row: each has a known row before it and one
behind it, as near as the rows of its level allow, and whole levels are coded at once.

A value is predicted linearly from earlier columns, or from the rows before and behind. Where rows fall into groups,
which an earlier column tells (the *group key*), neighbours of another group are left aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from narrows.codec.container.entropy import EntropyCoder

__all__ = [
    "SAFE",
    "Linear",
    "Midpoint",
    "Step",
    "chunked",
    "coding_order",
    "from_nearest",
    "ranked_bounds",
    "safe",
    "scattered",
    "to_nearest",
]

SAFE = 1 << 40
"""Magnitude that numbers in sums are kept within."""
_PLACES = 12

Bounds = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Two known values, the lower first, and where a value lies: 0 below all, 1 above all, 2 none is known, 3 between."""
_FIRST = 512
_CHUNK = 1 << 14
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Step:
    """Rows that are coded together, and the nearest known row before and behind each (one twice at an end).

    Of the rows all multiples of the spacing are known; it is 0 where nothing is known nearby.
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


@dataclass(frozen=True)
class Linear:
    """A weighted sum of earlier columns and an intercept, in 1/4096, kept between low and high."""

    columns: tuple[int, ...]
    factors: tuple[int, ...]
    intercept: int
    low: int
    high: int
    group_key = -1

    def __call__(self, values: np.ndarray, column: int, step: Step) -> np.ndarray:
        """Return the predictions for the step's rows, int64."""
        total = np.full(len(step.rows), self.intercept + (1 << (_PLACES - 1)), dtype=np.int64)
        for factor, i in zip(self.factors, self.columns, strict=True):
            total += factor * safe(values[i, step.rows])
        return np.clip(total >> _PLACES, self.low, self.high)


@dataclass(frozen=True)
class Midpoint:
    """The value halfway between the known neighbouring rows' in the groups of a column (−1 for none), or a default."""

    default: int
    group_key: int = -1

    def __call__(self, values: np.ndarray, column: int, step: Step) -> np.ndarray:
        """Return the predictions for the step's rows, int64."""
        if not step.spacing:
            return np.full(len(step.rows), self.default, dtype=np.int64)
        left, right = safe(values[column, step.left]), safe(values[column, step.right])
        if self.group_key < 0:
            return (left + right + 1) >> 1
        key = values[self.group_key]
        own_left, own_right = key[step.left] == key[step.rows], key[step.right] == key[step.rows]
        both = np.where(own_left, np.where(own_right, (left + right + 1) >> 1, left), right)
        return np.where(own_left | own_right, both, self.default)


def safe(values: np.ndarray) -> np.ndarray:
    """Return values kept within what sums may hold."""
    return np.clip(values, -SAFE, SAFE)


def ranked_bounds(coder: EntropyCoder, predictor: Midpoint, values: np.ndarray, column: int, step: Step) -> Bounds:
    """Write or read between which known values of its group each value lies; beyond the ends one comes twice."""
    key, own = values[predictor.group_key], values[column]
    if not step.spacing:
        default = np.full(len(step.rows), predictor.default)
        return default, default, np.full(len(step.rows), 2)
    known = np.arange(0, len(own), step.spacing)
    order = np.lexsort((own[known], key[known]))
    groups, ranked = key[known][order], safe(own[known][order])
    near = key[step.rows]
    first, last = np.searchsorted(groups, near, side="left"), np.searchsorted(groups, near, side="right")
    place = _place(ranked, first, last, safe(own[step.rows])) - first if coder.writes else None
    place = coder.uniform(last - first + 1, place).astype(np.int64)
    top = len(ranked) - 1
    below, above = ranked[np.clip(first + place - 1, 0, top)], ranked[np.clip(first + place, 0, top)]
    at_start, at_end, empty = place == 0, first + place == last, first == last
    low, high = np.where(at_start, above, below), np.where(at_end, below, above)
    state = np.where(empty, 2, np.where(at_start, 0, np.where(at_end, 1, 3)))
    return np.where(empty, predictor.default, low), np.where(empty, predictor.default, high), state


def _place(ranked: np.ndarray, first: np.ndarray, last: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where in its own stretch of sorted values each wanted one belongs, before its equals."""
    low, high = first.copy(), last.copy()
    while (open_ := low < high).any():
        middle = (low + high) >> 1
        less = open_ & (ranked[np.minimum(middle, len(ranked) - 1)] < wanted)
        low = np.where(less, middle + 1, low)
        high = np.where(open_ & ~less, middle, high)
    return low


def to_nearest(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Twice the way from the nearer end towards the other, plus 1 if it is the upper one; of equal ends, the way."""
    inward = values - low
    upper = inward > (high - low) >> 1
    return np.where(high == low, inward, np.where(upper, 2 * (high - values) + 1, 2 * inward))


def from_nearest(ways: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the values that have these ways."""
    inward = ways >> 1
    return np.where(high == low, low + ways, np.where(ways & 1, high - inward, low + inward))

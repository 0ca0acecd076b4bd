"""In which order the rows of a column are coded, and which rows of it are then known.

Two walks. *Onward* takes scattered rows, in chunks that grow as more is known. *Between* takes every 512th row first,
then the rows halfway between, and so on down to every row: each has a known row before it and one behind it, as near as
the rows of its level allow, and whole levels are coded at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = ["Step", "grown", "only", "scattered", "walk"]

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
    far_left, far_right : ndarray of int64
        The next known ones.
    level : int
        0 where nothing is known nearby, then 1 for neighbours next door, 2 for two rows away, and so on up to 5.
    spacing : int
        Of the rows all multiples of this are known; 0 where none need be.
    """

    rows: np.ndarray
    left: np.ndarray
    right: np.ndarray
    far_left: np.ndarray
    far_right: np.ndarray
    level: int
    spacing: int = 0


def only(step: Step, rows: np.ndarray) -> Step:
    """Return the step without the rows that a mask leaves out."""
    return Step(
        step.rows[rows],
        step.left[rows],
        step.right[rows],
        step.far_left[rows],
        step.far_right[rows],
        step.level,
        step.spacing,
    )


def grown(groups: list[np.ndarray]) -> list[Step]:
    """Return steps through groups of rows, one group after another, larger as more rows are known."""
    steps, known = [], 0
    for group in groups:
        start = 0
        while start < len(group):
            stop = min(len(group), start + min(_CHUNK, max(48, known // 3)))
            rows = group[start:stop]
            steps.append(Step(rows, rows, rows, rows, rows, 0))
            known += stop - start
            start = stop
    return steps


def scattered(rows: np.ndarray) -> np.ndarray:
    """Return the rows in an order whose every beginning is spread over all of them: early counts hold later."""
    return rows[np.argsort(rows.astype(np.uint64) * _GOLDEN, kind="stable")]


def _onward(n: int) -> list[Step]:
    return grown([scattered(np.arange(n))])


def _between(n: int) -> list[Step]:
    rows = np.arange(0, n, _FIRST)
    steps = [Step(rows, rows, rows, rows, rows, 0)]
    gap = _FIRST // 2
    while gap:
        rows = np.arange(gap, n, 2 * gap)
        last = (n - 1) // (2 * gap) * (2 * gap)
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            left = part - gap
            right = np.where(part + gap <= last, part + gap, left)
            far_left = np.where(part >= 3 * gap, part - 3 * gap, left)
            far_right = np.where(part + 3 * gap <= last, part + 3 * gap, right)
            steps.append(Step(part, left, right, far_left, far_right, min(5, gap.bit_length()), 2 * gap))
        gap //= 2
    return steps


@lru_cache(maxsize=16)
def walk(n: int, *, between: bool) -> list[Step]:
    """Return the steps that together take every one of n rows once."""
    if not n:
        return []
    return _between(n) if between else _onward(n)

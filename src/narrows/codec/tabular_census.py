"""Values that a column has held before: picked by how often they occurred, as ids in a log are.

A value is first said to be known or new. A known one is found by halving the sorted known values again and again,
each half weighed by how often its values occurred. Where rows rise within groups, only what lies between the
neighbours counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.tabular_arithmetic import bit_length

if TYPE_CHECKING:
    from narrows.codec.coder import Coder
    from narrows.codec.tabular_column import Sheet
    from narrows.codec.tabular_walk import Step

__all__ = ["Census"]

_CELLS = 20
_MOST = 1 << 21  # the coder takes sums below 2^24


class Census:
    """What is known of a column's values so far.

    Parameters
    ----------
    guard : int
        The column in whose groups rows rise; −1 where they do not.
    start : ndarray of uint8 (40,)
        New and known values to begin with, by the size of the choice.
    """

    def __init__(self, guard: int, start: np.ndarray) -> None:
        self.guard = guard
        self.flags = start.reshape(-1, 2).astype(np.int64) * 8 + 2
        self.values, self.heads = np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)

    def add(self, sheet: Sheet, column: int, rows: np.ndarray) -> None:
        """Take in the values of rows that are known now."""
        fresh, counts = np.unique(sheet.values[column, rows], return_counts=True)
        both = np.concatenate([self.values, fresh])
        self.values, back = np.unique(both, return_inverse=True)
        total = np.bincount(back, weights=np.concatenate([np.diff(self.heads), counts]), minlength=len(self.values))
        self.heads = np.concatenate([[0], np.cumsum(total.astype(np.int64))])

    def reach(self, sheet: Sheet, column: int, step: Step) -> tuple[np.ndarray, np.ndarray]:
        """From which to which known value each row of the step may choose."""
        n = len(step.rows)
        first, last = np.zeros(n, dtype=np.int64), np.full(n, len(self.values))
        if self.guard >= 0 and step.level:
            own, guard = sheet.values[column], sheet.values[self.guard]
            near = guard[step.rows]
            left = (guard[step.left] == near) & (step.left < step.rows)
            right = (guard[step.right] == near) & (step.right > step.rows)
            first = np.where(left, np.searchsorted(self.values, own[step.left], side="right"), first)
            last = np.where(right, np.searchsorted(self.values, own[step.right], side="left"), last)
        return first, np.maximum(first, last)

    def code(self, coder: Coder, sheet: Sheet, column: int, step: Step) -> np.ndarray:
        """Write or read the rows whose value is known, and fill these in; returns the mask (rows,)."""
        hits = np.zeros(len(step.rows), dtype=bool)
        first, last = self.reach(sheet, column, step)
        at = np.flatnonzero(last > first)
        if not len(at):
            return hits
        first, last = first[at], last[at]
        cells = self.cells(first, last)
        wanted, given = None, None
        if coder.writes:
            wanted = np.searchsorted(self.values, sheet.values[column, step.rows[at]])
            fits = (wanted >= first) & (wanted < last)
            fits[fits] = self.values[wanted[fits]] == sheet.values[column, step.rows[at[fits]]]
            given = fits.astype(np.int32)
        found = coder.weighted(self.flags[cells].astype(np.float32), given).astype(bool)
        np.add.at(self.flags, (cells, found.astype(np.int64)), 8)
        if self.flags.max() > _MOST:
            self.flags = (self.flags + 1) >> 1
        chosen = self._halve(coder, first[found], last[found], None if wanted is None else wanted[found])
        hits[at] = found
        sheet.values[column, step.rows[hits]] = self.values[chosen]
        return hits

    def cells(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Which flags to go by: the size of the choice, by powers of two."""
        return np.minimum(bit_length((self.heads[last] - self.heads[first]).view(np.uint64)), _CELLS - 1)

    def _halve(self, coder: Coder, first: np.ndarray, last: np.ndarray, wanted: np.ndarray | None) -> np.ndarray:
        first, last = first.copy(), last.copy()
        active = np.flatnonzero(last - first > 1)
        scale = max(0, int(self.heads[-1]).bit_length() - 22)
        while len(active):
            low, high = first[active], last[active]
            middle = (low + high) >> 1
            weights = np.stack([self.heads[middle] - self.heads[low], self.heads[high] - self.heads[middle]], axis=1)
            weights = (weights >> scale) + (1 if scale else 0)
            given = None if wanted is None else (wanted[active] >= middle).astype(np.int32)
            upper = coder.weighted(weights.astype(np.float32), given).astype(bool)
            first[active] = np.where(upper, middle, low)
            last[active] = np.where(upper, high, middle)
            active = active[last[active] - first[active] > 1]
        return first

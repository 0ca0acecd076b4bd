"""A block of a table on its way through the coder, and values that were seen before.

These are in a matched row that agreed so far, earlier in the row, or in the column itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.table.bins import bit_length
from narrows.codec.table.prediction import Bounds, Step, chunked, scattered

if TYPE_CHECKING:
    from narrows.codec.container.entropy import EntropyCoder

__all__ = ["N_FLAGS", "N_RECENT", "BlockState", "RepeatFlags", "ValueDictionary"]

N_FLAGS = 20
"""Cells in which flags are counted, a miss and a hit for each."""
N_RECENT = 4
_MOST = 1 << 21  # the coder takes sums below 2^24
_MIX = np.uint64(0x9E3779B97F4A7C15)


class RowMatches:
    """For each row one that agrees with it in the columns just coded, and the order in which rows can then be coded.

    A row's match is the first row that agrees in the window, or in as many more columns as any does. Rows are coded by
    how far their matches agree, those without any first: a match agrees with no row before it that far, so it is always
    known before the row it is for.

    ``rows`` are the matched ones (−1 where there is none), ``length`` says in how many columns they agree.
    """

    def __init__(self, n_rows: int) -> None:
        self.rows = np.full(n_rows, -1, dtype=np.int64)
        self.length = np.zeros(n_rows, dtype=np.int64)
        self.steps = chunked([scattered(np.arange(n_rows))])

    def update(self, values: np.ndarray, coded: list[int], window: int) -> None:
        """Match rows anew, when one more column is known."""
        n = values.shape[1]
        if len(coded) < window:
            return
        own = np.arange(n)
        source, rank = own, np.zeros(n, dtype=np.int64)
        for i, length in enumerate((window, 3 * window // 2, 2 * window, 3 * window)):
            if len(coded) >= length:
                first = _first_alike(values[coded[-length:]])
                source = np.where(first < own, first, source)
                rank = np.where(first < own, i + 1, rank)
        live = source < own
        self.rows = np.where(live, source, -1)
        self.length = np.zeros(n, dtype=np.int64)
        for column in coded[:-N_FLAGS:-1]:
            live = live & (values[column, self.rows] == values[column])
            self.length += live
        self.steps = chunked([scattered(np.flatnonzero(rank == i)) for i in range(5)])


def _first_alike(columns: np.ndarray) -> np.ndarray:
    """For each row, the first that has the same values in these columns, by a hash of them."""
    n = columns.shape[1]
    marks = np.zeros(n, dtype=np.uint64)
    for values in columns:
        marks = (marks ^ values.view(np.uint64)) * _MIX
        marks ^= marks >> np.uint64(29)
    order = np.argsort(marks, kind="stable")
    ranked = marks[order]
    fresh = np.ones(n, dtype=bool)
    fresh[1:] = ranked[1:] != ranked[:-1]
    found = np.empty(n, dtype=np.int64)
    found[order] = order[np.maximum.accumulate(np.where(fresh, np.arange(n), 0))]
    return found


class RecentValues:
    """For each row the latest different values that were not usual for their column, to be copied further on."""

    def __init__(self, n_rows: int) -> None:
        self.values = np.zeros((N_RECENT, n_rows), dtype=np.int64)
        self.count = np.zeros(n_rows, dtype=np.int64)

    def update(self, values: np.ndarray, usual: int) -> None:
        """Put a column's unusual values to the front."""
        rows = np.flatnonzero(values != usual)
        fresh, kept, n = values[rows], self.values[:, rows], self.count[rows]
        known = (kept == fresh) & (np.arange(N_RECENT)[:, None] < n)
        # The place that the new value leaves or takes.
        where = np.where(known.any(axis=0), known.argmax(axis=0), np.minimum(n, N_RECENT - 1))
        for i in range(N_RECENT - 1, 0, -1):
            kept[i] = np.where(i <= where, kept[i - 1], kept[i])
        kept[0] = fresh
        self.values[:, rows] = kept
        self.count[rows] = np.minimum(n + ~known.any(axis=0), N_RECENT)

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of these rows, and which of them there are; both (rows, N_RECENT)."""
        return self.values[:, rows].T, np.arange(N_RECENT)[None, :] < self.count[rows][:, None]

    def name(self, values: np.ndarray, symbols: np.ndarray, rows: np.ndarray, first: int) -> np.ndarray:
        """Return the symbols of values, those from ``first`` on where a recent value of the row is the same."""
        same, there = self.of(rows)
        same = there & (same == values[:, None])
        return np.where(same.any(axis=1), first + same.argmax(axis=1), symbols).astype(np.int32)


class _Flags:
    """Counts of misses and hits, in cells; (N_FLAGS · 2,) to begin with."""

    def __init__(self, start: np.ndarray) -> None:
        self.counts = start.reshape(-1, 2).astype(np.int64) * 8 + 2

    def code(self, coder: EntropyCoder, cells: np.ndarray, hits: np.ndarray | None) -> np.ndarray:
        """Write or read which are hits, and count them."""
        symbols = None if hits is None else hits.astype(np.int32)
        found = coder.weighted(self.counts[cells].astype(np.float32), symbols).astype(bool)
        np.add.at(self.counts, (cells, found.astype(np.int64)), 8)
        if self.counts.max() > _MOST:
            self.counts = (self.counts + 1) >> 1
        return found


class RepeatFlags:
    """Whether values repeat those of the matched rows, by how long the rows have agreed."""

    def __init__(self, start: np.ndarray, matches: RowMatches) -> None:
        self._flags, self._matches = _Flags(start), matches

    def code(self, coder: EntropyCoder, values: np.ndarray, step: Step) -> np.ndarray:
        """Write or read which rows repeat their match, and fill these in; returns the mask (rows,)."""
        hits, matches = np.zeros(len(step.rows), dtype=bool), self._matches
        at = np.flatnonzero(matches.rows[step.rows] >= 0)
        rows = step.rows[at]
        copied = values[matches.rows[rows]]
        hits[at] = self._flags.code(coder, matches.length[rows], values[rows] == copied if coder.writes else None)
        values[rows[hits[at]]] = copied[hits[at]]
        return hits

    def add(self, values: np.ndarray) -> None:
        """Take in values that are known now: these matches do not change within a column."""


class ValueDictionary:
    """Values that a column has held before, picked by how often they occurred: as ids in a log, which rise in groups.

    A value is first said to be known or new. A known one is found by halving the sorted known values again and again,
    each half weighed by how often its values occurred; only those between the row's neighbours in its group count.
    """

    def __init__(self, start: np.ndarray, group_key: np.ndarray) -> None:
        self._key, self._flags = group_key, _Flags(start)
        self.values, self.heads = np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)

    def add(self, values: np.ndarray) -> None:
        """Take in values that are known now."""
        fresh, counts = np.unique(values, return_counts=True)
        self.values, back = np.unique(np.concatenate([self.values, fresh]), return_inverse=True)
        total = np.bincount(back, weights=np.concatenate([np.diff(self.heads), counts]), minlength=len(self.values))
        self.heads = np.concatenate([[0], np.cumsum(total.astype(np.int64))])

    def _choices(self, values: np.ndarray, step: Step) -> tuple[np.ndarray, np.ndarray]:
        """From which to which known value each row of the step may choose."""
        first, last = np.zeros(len(step.rows), dtype=np.int64), np.full(len(step.rows), len(self.values))
        if step.spacing:
            near = self._key[step.rows]
            left = (self._key[step.left] == near) & (step.left < step.rows)
            right = (self._key[step.right] == near) & (step.right > step.rows)
            first = np.where(left, np.searchsorted(self.values, values[step.left], side="right"), first)
            last = np.where(right, np.searchsorted(self.values, values[step.right], side="left"), last)
        return first, last

    def code(self, coder: EntropyCoder, values: np.ndarray, step: Step) -> np.ndarray:
        """Write or read the rows whose value is known, and fill these in; returns the mask (rows,)."""
        hits = np.zeros(len(step.rows), dtype=bool)
        first, last = self._choices(values, step)
        at = np.flatnonzero(last > first)
        first, last = first[at], last[at]
        wanted = fits = None
        if coder.writes:
            own = values[step.rows[at]]
            wanted = np.searchsorted(self.values, own)
            fits = (wanted >= first) & (wanted < last)
            fits[fits] = self.values[wanted[fits]] == own[fits]
        sizes = bit_length((self.heads[last] - self.heads[first]).view(np.uint64))
        found = self._flags.code(coder, np.minimum(sizes, N_FLAGS - 1), fits)
        chosen = self._halve(coder, first[found], last[found], None if wanted is None else wanted[found])
        hits[at] = found
        values[step.rows[hits]] = self.values[chosen]
        return hits

    def _halve(self, coder: EntropyCoder, first: np.ndarray, last: np.ndarray, wanted: np.ndarray | None) -> np.ndarray:
        active = np.flatnonzero(last - first > 1)
        scale = max(0, int(self.heads[-1]).bit_length() - 22)
        while len(active):
            low, high = first[active], last[active]
            middle = (low + high) >> 1
            weights = np.stack([self.heads[middle] - self.heads[low], self.heads[high] - self.heads[middle]], axis=1)
            weights = ((weights >> scale) + (scale > 0)).astype(np.float32)
            symbols = None if wanted is None else (wanted[active] >= middle).astype(np.int32)
            upper = coder.weighted(weights, symbols).astype(bool)
            first[active] = np.where(upper, middle, low)
            last[active] = np.where(upper, high, middle)
            active = active[last[active] - first[active] > 1]
        return first


class BlockState:
    """A block on its way through the coder: values and their bins, (n_columns, n_rows), and the columns coded so far.

    The bounds are the known values between which those of the present step lie.
    """

    def __init__(self, n_columns: int, n_rows: int, window: int = 0) -> None:
        self.values = np.zeros((n_columns, n_rows), dtype=np.int64)
        self.symbols = np.zeros((n_columns, n_rows), dtype=np.int32)
        self.coded: list[int] = []
        self.window, self.matches = window, RowMatches(n_rows)
        self.recent = RecentValues(n_rows)
        self.bounds: Bounds = (self.matches.rows,) * 3

    @classmethod
    def of(cls, rows: np.ndarray, window: int = 0) -> BlockState:
        """Return the state of a block whose values (n_rows, n_columns) are known."""
        state = cls(rows.shape[1], len(rows), window)
        state.values[:] = rows.T
        return state

    def advance(self, column: int, usual: int | None) -> None:
        """Take note that a column is known now, and which of its values is not worth remembering."""
        self.coded.append(column)
        if usual is not None:
            self.recent.update(self.values[column], usual)
        if self.window:
            self.matches.update(self.values, self.coded, self.window)

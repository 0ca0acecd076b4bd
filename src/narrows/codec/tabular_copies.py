"""Values that may be copied: from an earlier row that has agreed so far, or from earlier in the same row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.tabular_walk import grown, scattered

if TYPE_CHECKING:
    from narrows.codec.coder import Coder
    from narrows.codec.tabular_column import Sheet

__all__ = ["Repeats", "copies_of", "find_shift", "matched_values", "named_by_copy", "update_match", "update_recent"]

_LONGEST = 19
_MOST = 1 << 21  # the coder takes sums below 2^24
_MIX = np.uint64(0x9E3779B97F4A7C15)


def copies_of(sheet: Sheet, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the latest unusual values of these rows, and where there are any; both (rows, 4)."""
    return sheet.recent[:, rows].T, np.arange(4)[None, :] < sheet.recent_n[rows][:, None]


def matched_values(sheet: Sheet, column: int, rows: np.ndarray) -> np.ndarray:
    """Return what the matches of these rows hold."""
    return sheet.values[np.maximum(column - sheet.match_shift[rows], 0), sheet.match[rows]]


class Repeats:
    """Whether values repeat those of the matched rows, by how long the rows have agreed.

    Parameters
    ----------
    start : ndarray of uint8 (40,)
        Misses and hits to begin with, for each length.
    """

    def __init__(self, start: np.ndarray) -> None:
        self.counts = start.reshape(-1, 2).astype(np.int64) * 8 + 2

    def code(self, coder: Coder, sheet: Sheet, column: int, rows: np.ndarray) -> np.ndarray:
        """Write or read which rows repeat their match, and fill these in; returns the mask (rows,)."""
        hits = np.zeros(len(rows), dtype=bool)
        at = np.flatnonzero(sheet.match[rows] >= 0)
        if not len(at):
            return hits
        values = sheet.values[column]
        mine = rows[at]
        cells = sheet.match_length[mine]
        copied = matched_values(sheet, column, mine)
        given = (values[mine] == copied).astype(np.int32) if coder.writes else None
        found = coder.weighted(self.counts[cells].astype(np.float32), given).astype(bool)
        values[mine[found]] = copied[found]
        np.add.at(self.counts, (cells, found.astype(np.int64)), 8)
        if self.counts.max() > _MOST:
            self.counts = (self.counts + 1) >> 1
        hits[at] = found
        return hits


def named_by_copy(
    values: np.ndarray, names: np.ndarray, copies: np.ndarray, good: np.ndarray, first: int
) -> np.ndarray:
    """Return the symbols, with those that a copy names replaced by the copy's."""
    names = names.copy()
    for i in range(copies.shape[1])[::-1]:
        names[good[:, i] & (copies[:, i] == values)] = first + i
    return names


def update_recent(sheet: Sheet, column: int, usual: int) -> None:
    """Put a column's unusual values to the front of what its rows remember."""
    rows = np.flatnonzero(sheet.values[column] != usual)
    if not len(rows):
        return
    values, kept, n = sheet.values[column, rows], sheet.recent[:, rows], sheet.recent_n[rows]
    where = np.minimum(n, 3)  # the place that the new value leaves or takes
    for i in range(4)[::-1]:
        where = np.where((i < n) & (kept[i] == values), i, where)
    known = np.zeros(len(rows), dtype=bool)
    for i in range(4):
        known |= (i < n) & (kept[i] == values)
    for i in (3, 2, 1):
        kept[i] = np.where(i <= where, kept[i - 1], kept[i])
    kept[0] = values
    sheet.recent[:, rows] = kept
    sheet.recent_n[rows] = np.where(known, n, np.minimum(n + 1, 4))


def update_match(sheet: Sheet, window: int, shift: int) -> None:
    """Match rows with others by the last columns coded, and set the order in which they can then be coded.

    A row's match is the first row that agrees in the window, or in as many more columns as any does; with a shift, rows
    are also matched with what rows hold so many columns before. Rows are coded by how far their matches agree, those
    without any first: a match agrees with no row before it that far, so it is always known before the row it is for.
    """
    n = sheet.values.shape[1]
    coded, rows = sheet.coded, np.arange(n)
    if len(coded) < window:
        return
    own = rows + n
    source, rank = own, np.zeros(n, dtype=np.int64)
    for i, length in enumerate((window, 3 * window // 2, 2 * window, 3 * window)):
        if len(coded) >= length:
            first = _first_alike(sheet, coded[-length:], shift)
            source = np.where(first < own, first, source)
            rank = np.where(first < n, 0, np.where(first < own, i + 1, rank))
    matched, shifted = source < own, source < n
    sheet.match = np.where(matched, source % n, -1)
    sheet.match_shift = np.where(shifted, shift, 0)
    agreed, live = np.zeros(n, dtype=np.int64), matched
    for column in coded[-1 : -_LONGEST - 1 : -1]:
        other = np.maximum(column - sheet.match_shift, 0)
        live = live & (sheet.values[other, sheet.match] == sheet.values[column])
        agreed += live
    sheet.match_length = agreed
    sheet.match_steps = grown([scattered(np.flatnonzero(rank == i)) for i in range(5)])


def _marks(sheet: Sheet, columns: list[int]) -> np.ndarray:
    marks = np.zeros(sheet.values.shape[1], dtype=np.uint64)
    for column in columns:
        marks = (marks ^ sheet.values[column].view(np.uint64)) * _MIX
        marks ^= marks >> np.uint64(29)
    return marks


def _first_alike(sheet: Sheet, columns: list[int], shift: int) -> np.ndarray:
    """For each row, the first that has the same values in these columns.

    Rows of the columns so many before count from 0, and the rows themselves behind these, from n.
    """
    n = sheet.values.shape[1]
    marks, offset = _marks(sheet, columns), n
    if shift and min(columns) >= shift:
        marks, offset = np.concatenate([_marks(sheet, [c - shift for c in columns]), marks]), 0
    order = np.argsort(marks, kind="stable")
    ranked = marks[order]
    fresh = np.ones(len(marks), dtype=bool)
    fresh[1:] = ranked[1:] != ranked[:-1]
    starts = np.maximum.accumulate(np.where(fresh, np.arange(len(marks)), 0))
    found = np.empty(len(marks), dtype=np.int64)
    found[order] = order[starts]
    return found[-n:] + offset


def find_shift(sheet: Sheet, window: int) -> int:
    """By how many columns rows repeat what rows hold further left; 0 where they do not."""
    n_columns, n = sheet.values.shape
    best, shift = 0.05, 0
    modes = np.array([values[np.argmax(counts)] for values, counts in _censuses(sheet)])
    telling = sheet.values != modes[:, None]
    for candidate in range(window, min(n_columns // 2, 128) + 1):
        there = _marks(sheet, list(range(candidate)))
        here = _marks(sheet, list(range(candidate, 2 * candidate)))
        seen, often = np.unique(there, return_counts=True)
        # What many rows hold says little, and so does a record of usual values.
        full = telling[candidate : 2 * candidate].mean(axis=0) > 0.34
        share = float((np.isin(here, seen[often < 0.02 * n + 1]) & full).mean())
        if share > best:
            best, shift = share, candidate
    return shift


def _censuses(sheet: Sheet) -> list[tuple[np.ndarray, np.ndarray]]:
    return [np.unique(values, return_counts=True) for values in sheet.values]

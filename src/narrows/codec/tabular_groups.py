"""Stretches of columns that rows share with others: said once for the whole stretch, before its columns.

A table may hold the same short record several times in a row, or in several rows. Of every stretch of so many columns
it is said which rows hold a record that has been seen, and which; only the others' values are then coded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from narrows.codec.coder import Coder
    from narrows.codec.tabular_column import Sheet

__all__ = ["Groups"]

_CHUNK = 1024
_MOST = 1 << 21


class Groups:
    """The records of a sheet, stretch after stretch.

    Parameters
    ----------
    width : int
        Columns in a stretch.

    Attributes
    ----------
    given : ndarray of bool (n_rows,)
        Whose record in this stretch has been seen.
    rows, back : ndarray of int64 (n_rows,)
        The row that has the record, and how many columns further left.
    """

    def __init__(self, width: int, n_rows: int) -> None:
        self.width = width
        self.given = np.zeros(n_rows, dtype=bool)
        self.rows = np.zeros(n_rows, dtype=np.int64)
        self.back = np.zeros(n_rows, dtype=np.int64)
        self._pool_rows = np.zeros(0, dtype=np.int64)
        self._pool_columns = np.zeros(0, dtype=np.int64)
        self._seen: dict[bytes, int] = {}
        self._flags = np.array([16, 16], dtype=np.int64)

    def code(self, coder: Coder, sheet: Sheet, column: int) -> None:
        """At the start of a stretch, write or read whose record is known; elsewhere do nothing."""
        if column % self.width:
            return
        n = len(self.given)
        if column + self.width > len(sheet.values):  # what is left is no whole stretch
            self.given = np.zeros(n, dtype=bool)
            return
        places = self._find(sheet, column) if coder.writes else None
        for start in range(0, n, _CHUNK):
            weights = np.repeat(self._flags[None, :], min(_CHUNK, n - start), axis=0).astype(np.float32)
            stop = start + len(weights)
            known = coder.weighted(weights, None if places is None else (places[start:stop] >= 0).astype(np.int32))
            self.given[start:stop] = known.astype(bool)
            self._flags += 16 * np.bincount(known, minlength=2)
            if self._flags.max() > _MOST:
                self._flags = (self._flags + 1) >> 1
        fresh = np.flatnonzero(~self.given)
        before = len(self._pool_rows)
        self._pool_rows = np.concatenate([self._pool_rows, fresh])
        self._pool_columns = np.concatenate([self._pool_columns, np.full(len(fresh), column)])
        sizes = before + np.cumsum(~self.given)[self.given]
        if len(sizes) and sizes[0] < 1:
            raise ValueError("the block is damaged: a record repeated before the first")
        found = coder.evenly(sizes, None if places is None else places[self.given]).astype(np.int64)
        self.rows[self.given] = self._pool_rows[found]
        self.back[self.given] = column - self._pool_columns[found]

    def _find(self, sheet: Sheet, column: int) -> np.ndarray:
        """Return where among the records seen each row's is, −1 for a new one."""
        records = np.ascontiguousarray(sheet.values[column : column + self.width].T)
        places = np.full(len(records), -1, dtype=np.int64)
        for row, record in enumerate(records):
            key = record.tobytes()
            if key in self._seen:
                places[row] = self._seen[key]
            else:
                self._seen[key] = len(self._seen)
        return places

    def fill(self, sheet: Sheet, column: int) -> np.ndarray:
        """Put the column's values into the rows whose record is known; returns these rows."""
        rows = np.flatnonzero(self.given)
        sheet.values[column, rows] = sheet.values[column - self.back[rows], self.rows[rows]]
        return rows

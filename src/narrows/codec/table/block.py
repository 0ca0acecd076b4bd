"""A block of a table on its way through the coder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.table.reuse import RecentValues, RowMatches

if TYPE_CHECKING:
    from narrows.codec.table.prediction import Bounds

__all__ = ["BlockState"]


class BlockState:
    """A block on its way through the coder: values and symbols, column by column.

    Attributes
    ----------
    values : ndarray of int64 (n_columns, n_rows)
    symbols : ndarray of int32 (n_columns, n_rows)
        The bin of every value coded so far.
    coded : list of int
        The columns known so far, in the order of coding.
    matches : RowMatches
    recent : RecentValues
    bounds : tuple of three ndarray
        The known values between which those of the present step lie.
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

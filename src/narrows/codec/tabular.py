"""A model of tables of whole numbers, that writes and reads blocks of rows exactly.

    rows ─▶ column after column ─▶ forecast, bin, place in the bin ─▶ entropy coder ─▶ bytes

Each column is foretold from the columns coded before it and, where that is shorter, from rows already known before and
behind (`narrows.codec.tabular_walk`). What is learnt at `fit` is which of them to look at and how much to trust each;
the counts themselves are learnt anew in every block, by writer and reader alike, so a model is small.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.codec.coder import Reader, Writer
from narrows.codec.packing import pack as squeeze
from narrows.codec.tabular_bins import code_positive
from narrows.codec.tabular_column import NEIGHBOURS, RANKED, ColumnModel, Sheet, code_column
from narrows.codec.tabular_copies import find_shift
from narrows.codec.tabular_groups import Groups
from narrows.codec.tabular_learning import Known, learn_column
from narrows.codec.tabular_state import pack, unpack
from narrows.codec.tabular_trying import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from narrows.codec.coder import Coder

__all__ = ["TableModel"]

_BLOCK_VALUES = 1 << 20
_FIT_ROWS = 1 << 15
_NEAR = 1 << 41
_WAYS = 12
"""Ways that a column may have: with time for so many, all are tried."""


class TableModel:
    """Writes and reads blocks of a table of whole numbers.

    Made by `TableModel.fit`.

    Attributes
    ----------
    columns : list of ColumnModel
        In the order of coding.
    window : int
        How many columns must agree for a row to be matched with an earlier one; 0 where matches are of no use.
    shift : int
        How many columns further left rows may match as well; 0 for none.
    group : int
        How many columns make a record that rows may share with others; 0 where none do.
    rows_per_block : int
        How many rows make a good block.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows.codec.tabular import TableModel
    >>> rows = np.random.default_rng(0).integers(0, 4, (500, 3)).cumsum(axis=1)
    >>> model = TableModel.fit(rows, max_seconds=10.0, random_state=0)
    >>> data = model.encode(rows)
    >>> len(data) < 500
    True
    >>> bool((model.decode(data, 500) == rows).all())
    True
    """

    def __init__(self, columns: list[ColumnModel], window: int, shift: int, group: int = 0) -> None:
        self.columns = columns
        self.window = window
        self.shift = shift
        self.group = group
        self.remembers = any(model.copies == "recent" for model in columns)
        self.rows_per_block = max(1024, min(1 << 17, _BLOCK_VALUES // max(1, len(columns))))

    @classmethod
    def fit(
        cls,
        rows: np.ndarray,
        *,
        max_seconds: float,
        random_state: int,
        progress: Callable[[str], None] | None = None,
        kinds: Sequence[str] | None = None,
    ) -> TableModel:
        """Learn how to code the columns of these rows.

        Parameters
        ----------
        rows : ndarray of int64 (n_rows, n_columns)
        max_seconds : float
            So that it lasts for all columns, each may try fewer ways; when it is over, those left are coded in the
            simplest way.
        random_state : int
        progress : callable, optional
            Told a line of text after every column.
        kinds : sequence of str, optional
            "ordered" or "category" for each column; ordered by default.

        Returns
        -------
        TableModel
        """
        rows = np.asarray(rows, dtype=np.int64)
        n_columns = rows.shape[1]
        kinds = ["ordered"] * n_columns if kinds is None else list(kinds)
        stop = time.monotonic() + max_seconds
        sheet = _training_sheet(rows)
        window = _window(sheet)
        shift = find_shift(sheet, window)
        learn = _Lesson(kinds, stop, random_state, progress)
        if not shift:
            return learn.model(sheet, window, 0, 0)
        learn.stop -= max_seconds / 2
        both = [learn.model(_copy(sheet), window, shift, shift)]
        learn.stop = stop
        both.append(learn.model(_copy(sheet), window, shift, 0))
        sizes = [
            len(model.encode(sheet.values.T)) + len(squeeze(model.to_state()[1]["columns"].tobytes())) for model in both
        ]
        return both[int(np.argmin(sizes))]

    def encode(self, rows: np.ndarray) -> bytes:
        """Return the bytes of a block of rows."""
        rows = np.asarray(rows, dtype=np.int64)
        sheet = Sheet(len(self.columns), len(rows))
        sheet.values[:] = rows.T
        writer = Writer()
        if len(rows):
            self._code(writer, sheet)
        return writer.finish()

    def decode(self, data: bytes, n_rows: int) -> np.ndarray:
        """Return the rows of a block, from its bytes; int64 (n_rows, n_columns)."""
        sheet = Sheet(len(self.columns), n_rows)
        if n_rows:
            if len(data) % 4:
                raise ValueError("the block's length is not a multiple of 4 bytes")
            self._code(Reader(data), sheet)
        return np.ascontiguousarray(sheet.values.T)

    def _code(self, coder: Coder, sheet: Sheet) -> None:
        strays = [
            (model.column, *self._code_strays(coder, model, sheet.values[model.column]))
            for model in self.columns
            if model.relation in (NEIGHBOURS, RANKED)
        ]
        if self.group:
            sheet.groups = Groups(self.group, sheet.values.shape[1])
        for model in self.columns:
            if sheet.groups is not None:
                sheet.groups.code(coder, sheet, model.column)
            code_column(coder, model, sheet)
            sheet.advance(model, window=self.window, shift=self.shift, recent=self.remembers)
        for column, where, values in strays:
            sheet.values[column, where] = values

    def _code_strays(self, coder: Coder, model: ColumnModel, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values too large for arithmetic on neighbours: set aside with their rows, and 0 put in their place."""
        where = np.flatnonzero((values > _NEAR) | (values < -_NEAR))
        given = [np.array([len(where)]), np.diff(where, prepend=0), values[where]] if coder.writes else [None] * 3
        as_unsigned = [None if g is None else g.astype(np.int64).view(np.uint64) for g in given]
        n = int(code_positive(coder, 1, as_unsigned[0])[0])
        if n > len(values):
            raise ValueError("the block is damaged: more values set aside than rows")
        where = np.cumsum(code_positive(coder, n, as_unsigned[1]).astype(np.int64))
        if n and not (where.min() >= 0 and where.max() < len(values)):
            raise ValueError("the block is damaged: a value set aside for no row")
        found = code_positive(coder, n, as_unsigned[2]).view(np.int64)
        values[where] = 0
        return where, found

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what the model is, as options for JSON and tensors of whole numbers."""
        options = {"n_columns": len(self.columns), "window": self.window, "shift": self.shift, "group": self.group}
        return options, {"columns": pack(self.columns)}

    @classmethod
    def from_state(cls, options: dict[str, Any], tensors: dict[str, np.ndarray]) -> TableModel:
        """Return the model that `to_state` described."""
        columns = unpack(tensors["columns"], int(options["n_columns"]))
        return cls(columns, int(options["window"]), int(options["shift"]), int(options["group"]))


class _Lesson:
    """Learns all columns of a sheet, one after another."""

    def __init__(
        self, kinds: list[str], stop: float, random_state: int, progress: Callable[[str], None] | None
    ) -> None:
        self.kinds, self.stop, self.random_state, self.progress = kinds, stop, random_state, progress

    def model(self, sheet: Sheet, window: int, shift: int, group: int) -> TableModel:
        """Return the model; with a group, records of so many columns are looked for, else matching rows."""
        known, columns, seconds = Known(shift), [], 0.0
        if group:
            sheet.groups, window = Groups(group, sheet.values.shape[1]), 0
        for column, kind in enumerate(self.kinds):
            if sheet.groups is not None:
                sheet.groups.code(Meter(), sheet, column)
            began = time.monotonic()
            most = self._most(began, len(self.kinds) - column, seconds)
            model, bits, tried = learn_column(
                sheet, column, known, category=kind == "category", seed=self.random_state, most=most
            )
            if tried:
                seconds = (time.monotonic() - began) / tried
            columns.append(model)
            known.add(model)
            sheet.advance(model, window=window, shift=shift, recent=True)
            if self.progress is not None:
                done = f"column {column + 1} of {len(self.kinds)}"
                self.progress(f"{done}: {bits / sheet.values.shape[1]:.2f} bits per value")
        matches = any(len(model.repeats) for model in columns)
        return TableModel(columns, window if matches else 0, shift if matches else 0, group)

    def _most(self, now: float, columns: int, seconds: float) -> int | None:
        """Return how many ways a column may try for the time to last, when the last took so many seconds for each."""
        share = (self.stop - now) / columns
        if share <= 0:
            return 0
        return None if seconds * _WAYS <= share else max(1, int(share / seconds))


def _copy(sheet: Sheet) -> Sheet:
    other = Sheet(*sheet.values.shape)
    other.values[:] = sheet.values
    return other


def _training_sheet(rows: np.ndarray) -> Sheet:
    """Training rows on a sheet: all, or stretches of them from all over the table."""
    n = len(rows)
    if n > _FIT_ROWS:
        stretch = _FIT_ROWS // 8
        starts = np.linspace(0, n - stretch, 8).astype(np.int64)
        rows = np.concatenate([rows[s : s + stretch] for s in starts])
    sheet = Sheet(rows.shape[1], max(1, len(rows)))
    if len(rows):
        sheet.values[:] = rows.T
    return sheet


def _window(sheet: Sheet) -> int:
    """How many columns tell rows apart, about: as many as hold some bits more than a row's number has."""
    n = sheet.values.shape[1]
    bits = []
    for values in sheet.values:
        counts = np.unique(values, return_counts=True)[1]
        bits.append(float((counts * np.log2(n / counts)).sum() / n))
    usual = float(np.mean(bits)) if bits else 0.0
    return int(np.clip(round((np.log2(n + 1) + 3) / (0.8 * usual + 0.1)), 2, 24))

"""A model of tables of whole numbers, that writes and reads blocks of rows exactly.

    rows ─▶ column after column ─▶ prediction, bin, place in the bin ─▶ entropy coder ─▶ bytes

Each column is predicted from the columns coded before it and, where that is shorter, from rows already known before and
behind. What is learnt at `fit` is which of them to look at and how much to trust each; the counts themselves are learnt
anew in every block, by writer and reader alike, so a model is small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.codec.container.entropy import Reader, Writer
from narrows.codec.table.bins import code_positive
from narrows.codec.table.block import BlockState
from narrows.codec.table.column import RANKED, ColumnModel, code_column
from narrows.codec.table.fit import fit_columns
from narrows.codec.table.prediction import SAFE
from narrows.codec.table.state import columns_from_bytes, columns_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from narrows.codec.container.entropy import EntropyCoder

__all__ = ["TableModel"]

_BLOCK_VALUES = 1 << 20


class TableModel:
    """Writes and reads blocks of a table of whole numbers.

    The window says how many columns must agree for a row to be matched with an earlier one; 0 for no matches.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows.codec.table.model import TableModel
    >>> rows = np.random.default_rng(0).integers(0, 4, (500, 3)).cumsum(axis=1)
    >>> model = TableModel.fit(rows, max_seconds=10.0, random_state=0)
    >>> data = model.encode(rows)
    >>> len(data) < 500, bool((model.decode(data, 500) == rows).all())
    (True, True)
    """

    def __init__(self, columns: list[ColumnModel], window: int) -> None:
        self.columns = columns
        self.window = window
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
        """Learn how to code the columns of these rows, each "ordered" (the default) or of the kind "category".

        So that the time lasts for all columns, each may try fewer ways; when it is over, those left are coded in the
        simplest way.
        """
        rows = np.asarray(rows, dtype=np.int64)
        kinds = kinds or ["ordered"] * rows.shape[1]
        return cls(*fit_columns(rows, kinds, max_seconds=max_seconds, seed=random_state, progress=progress))

    def encode(self, rows: np.ndarray) -> bytes:
        """Return the bytes of a block of rows."""
        writer = Writer()
        if len(rows):
            self._code(writer, BlockState.of(np.asarray(rows, dtype=np.int64), self.window))
        return writer.finish()

    def decode(self, data: bytes, n_rows: int) -> np.ndarray:
        """Return the rows of a block, from its bytes; int64 (n_rows, n_columns)."""
        state = BlockState(len(self.columns), n_rows, self.window)
        if n_rows:
            if len(data) % 4:
                raise ValueError("the block's length is not a multiple of 4 bytes")
            self._code(Reader(data), state)
        return np.ascontiguousarray(state.values.T)

    def _code(self, coder: EntropyCoder, state: BlockState) -> None:
        for model in self.columns:
            if not (model.relation == RANKED and _code_far(coder, state.values[model.column])):
                code_column(coder, model, state)
            state.advance(model.column, model.usual)

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what the model is, as options for JSON and tensors of whole numbers."""
        options = {"n_columns": len(self.columns), "window": self.window}
        return options, {"columns": columns_to_bytes(self.columns)}

    @classmethod
    def from_state(cls, options: dict[str, Any], tensors: dict[str, np.ndarray]) -> TableModel:
        """Return the model that `to_state` described, or say by a ValueError what is wrong with it."""
        n_columns, window = options["n_columns"], options["window"]
        if type(n_columns) is not int or type(window) is not int or not (window == 0 or 2 <= window <= 24):
            raise ValueError("the table model's options cannot be")
        return cls(columns_from_bytes(tensors["columns"], n_columns), window)


def _code_far(coder: EntropyCoder, values: np.ndarray) -> bool:
    """Write or read a column that holds values too large for arithmetic on bounds; returns whether it does."""
    far = np.array([(np.abs(values.astype(np.float64)) > 2 * SAFE).any()]) if coder.writes else None
    if not coder.uniform(np.array([2]), far)[0]:
        return False
    values[:] = code_positive(coder, len(values), values.view(np.uint64) if coder.writes else None).view(np.int64)
    return True

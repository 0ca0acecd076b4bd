"""The engine of tables: columns become whole numbers, and a model writes and reads blocks of these exactly.

    rows ─▶ column after column ─▶ prediction, bin, place in the bin ─▶ entropy coder ─▶ bytes

Each column is predicted from the columns coded before it and, where that is shorter, from rows already known before and
behind. What is learnt at `fit` is which of them to look at and how much to trust each; the counts themselves are learnt
anew in every block, by writer and reader alike, so a model is small.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from narrows.codec import evaluation
from narrows.codec.columns.form import Schema, TableForm, columns_from_bytes, columns_to_bytes, most_bytes
from narrows.codec.columns.layout import ArrayLayout, ColumnBatch, Layout
from narrows.codec.container.entropy import EntropyCoder, Reader, Writer
from narrows.codec.container.format import Cursor, varint
from narrows.codec.engine import Engine, FitOptions, State, open_block, smallest_block
from narrows.codec.table.bins import code_positive
from narrows.codec.table.block import BlockState
from narrows.codec.table.column import RANKED, ColumnModel, code_column
from narrows.codec.table.fit import fit_columns
from narrows.codec.table.prediction import SAFE
from narrows.codec.table.state import models_from_bytes, models_to_bytes
from narrows.errors import CodecFileError, DataError

__all__ = ["TableEngine", "TableModel"]

_BLOCK_VALUES = 1 << 20
_BLOCK_BYTES = 1 << 20


class TableModel:
    """Writes and reads blocks of a table of whole numbers.

    The window says how many columns must agree for a row to be matched with an earlier one; 0 for no matches.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows.codec.table.engine import TableModel
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
        return options, {"columns": models_to_bytes(self.columns)}

    @classmethod
    def from_state(cls, options: dict[str, Any], tensors: dict[str, np.ndarray]) -> TableModel:
        """Return the model that `to_state` described, or say by a ValueError what is wrong with it."""
        n_columns, window = options["n_columns"], options["window"]
        if type(n_columns) is not int or type(window) is not int or not (window == 0 or 2 <= window <= 24):
            raise ValueError("the table model's options cannot be")
        return cls(models_from_bytes(tensors["columns"], n_columns), window)


def _code_far(coder: EntropyCoder, values: np.ndarray) -> bool:
    """Write or read a column that holds values too large for arithmetic on bounds; returns whether it does."""
    far = np.array([(np.abs(values.astype(np.float64)) > 2 * SAFE).any()]) if coder.writes else None
    if not coder.uniform(np.array([2]), far)[0]:
        return False
    values[:] = code_positive(coder, len(values), values.view(np.uint64) if coder.writes else None).view(np.int64)
    return True


class TableEngine(Engine):
    """Columns: the form says how they become whole numbers, which the model codes (None for none)."""

    kind = "table"

    def __init__(self, form: TableForm, model: Any) -> None:
        self.form, self.model, self.history = form, model, list(getattr(model, "history", []))
        row = sum(dtype.itemsize for _, dtype in form.schema)
        self.rows_per_block = int(model.rows_per_block) if model is not None else max(1, _BLOCK_BYTES // max(1, row))

    @classmethod
    def fit(cls, batch: ColumnBatch, held_out: ColumnBatch, options: FitOptions) -> TableEngine:  # noqa: ARG003
        """Learn the columns' transforms, and then a model of their codes."""
        stop, schema = time.monotonic() + options.max_seconds, batch.layout.schema()
        form = TableForm.fit(schema, batch.parts, options.bounds)
        if not form.kinds:
            return cls(form, None)
        codes = form.encode(batch.parts, schema).codes
        seconds = max(1.0, stop - time.monotonic())
        model = TableModel.fit(
            codes, kinds=form.kinds, max_seconds=seconds, random_state=options.seed, progress=options.progress
        )
        return cls(form, model)

    def check(self, layout: Layout) -> None:
        """Refuse other columns, and pictures."""
        n_columns = len(self.form.schema)
        if layout.picture is not None:
            raise DataError("the codec was fitted to a table, and these are pictures")
        # Before its columns are listed: a hostile file may claim any number of them.
        if isinstance(layout, ArrayLayout) and layout.row_values != n_columns:
            raise DataError(f"the codec was fitted to {n_columns:,} columns, and these are {layout.row_values:,}")
        self.form.check(layout.schema())

    def encode(self, parts: list[np.ndarray], schema: Schema) -> tuple[bytes, int]:
        """Turn rows into bytes."""
        coded, plain = self.form.encode(parts, schema), columns_to_bytes(parts)
        limit = most_bytes(len(coded.codes), schema)
        if not coded.fits:
            return smallest_block(None, 0, plain, limit)
        made = self.model.encode(coded.codes) if self.model is not None else b""
        return smallest_block(varint(len(made)) + made + coded.side_info, coded.crc, plain, limit)

    def decode(self, data: bytes, n_rows: int, schema: Schema) -> tuple[list[np.ndarray], int]:
        """Turn bytes into rows."""
        is_code, rest = open_block(data, most_bytes(n_rows, schema))
        if not is_code:
            return columns_from_bytes(rest, n_rows, schema), zlib.crc32(rest)
        cursor = Cursor(rest)
        made = cursor.take(cursor.number(cursor.left))
        codes = np.zeros((n_rows, 0), dtype=np.int64) if self.model is None else self.model.decode(made, n_rows)
        return self.form.decode(codes, cursor.take(cursor.left), schema)

    def peers(self, batch: ColumnBatch) -> dict[str, int | None]:
        """Give numbers that become whole ones (decimals, values within a bound) to the compressors as such."""
        columns = []
        for transform, part in zip(self.form.transforms, batch.parts, strict=True):
            if part.dtype.kind == "O" or not transform.kinds:
                columns.append(part)
                continue
            codes, bad, _ = transform.encode(np.ascontiguousarray(part))
            columns += [part] if bad.any() else list(codes.T)
        return evaluation.on_columns(columns)

    def to_state(self) -> State:
        """Return all of this as JSON values and arrays."""
        options, arrays = self.model.to_state() if self.model is not None else (None, {})
        form = np.frombuffer(self.form.to_bytes(), np.uint8)
        return {"model": options}, {"form/": form} | {f"model/{name}": arrays[name] for name in arrays}

    @classmethod
    def from_state(cls, options: dict[str, Any], arrays: dict[str, np.ndarray]) -> TableEngine:
        """Rebuild an engine from its state."""
        form = TableForm.from_bytes(arrays["form/"].tobytes())
        if options["model"] is None:
            model = None
        else:
            inner = {name.removeprefix("model/"): array for name, array in arrays.items() if name != "form/"}
            model = TableModel.from_state(options["model"], inner)
        n_columns = 0 if model is None else len(model.columns)
        if n_columns != len(form.kinds):
            raise CodecFileError("the codec's model is of other columns than its table")
        return cls(form, model)

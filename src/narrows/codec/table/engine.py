"""The engine of tables: columns become whole numbers, and the table model codes these."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.codec import evaluation
from narrows.codec.columns.form import Schema, TableForm, columns_from_bytes, columns_to_bytes, most_bytes
from narrows.codec.columns.layout import ArrayLayout
from narrows.codec.container.format import Cursor, varint
from narrows.codec.engine import Engine, FitOptions, State, open_block, smallest_block
from narrows.codec.table.model import TableModel
from narrows.errors import CodecFileError, DataError

if TYPE_CHECKING:
    from narrows.codec.columns.layout import ColumnBatch, Layout

__all__ = ["TableEngine"]

_BLOCK_BYTES = 1 << 20


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

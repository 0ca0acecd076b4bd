"""Blocks of rows, many at a time and in order: into a container and out of it."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from narrows.codec.columns.intake import layout_from_json
from narrows.codec.container.format import Block, FileReader, FileWriter, Head
from narrows.errors import CodecFileError, DataError, NarrowsError

if TYPE_CHECKING:
    from narrows.codec.columns.layout import ColumnBatch, Target
    from narrows.codec.engine import Engine

__all__ = ["MOST_DAMAGED", "Decoder", "row_numbers", "write_blocks"]

_In = TypeVar("_In")
_Out = TypeVar("_Out")

MOST_DAMAGED = 3
"""Damaged blocks after which a restoring gives up."""
_NOTHING = b"\0"
"""Stands for a block without any bytes, of rows that were all certain; no block of an engine is this."""


def _in_order(function: Callable[[_In], _Out], items: Iterable[_In], n_jobs: int | None) -> Generator[_Out, None, None]:
    """Apply a function to items, taken as they are needed, in several threads; results come in the items' order."""
    workers = n_jobs or os.cpu_count() or 1
    # Blocks keep the processors busy, and their matrices are small: threads of the library for matrices, which wait for
    # each other by spinning, make them up to a hundred times slower.
    with threadpool_limits(1):
        if workers == 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(workers) as pool:
            waiting: deque[Future[_Out]] = deque()
            try:
                for item in items:
                    waiting.append(pool.submit(function, item))
                    if len(waiting) > workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


def row_numbers(rows: Any, n_rows: int) -> range | np.ndarray:
    """Turn what says which rows are wanted, as numpy takes it, into their numbers."""
    if rows is None:
        return range(n_rows)
    if isinstance(rows, slice):
        return range(n_rows)[rows]
    if isinstance(rows, (int, np.integer)) and not isinstance(rows, bool):
        rows = [int(rows)]
    found = np.asarray(rows if not isinstance(rows, range) else list(rows))
    if found.dtype == bool and found.shape == (n_rows,):
        return np.flatnonzero(found)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise DataError("rows must be a slice, a whole number or a list of them")
    found = found.astype(np.int64)
    wrong = found[(found < -n_rows) | (found >= n_rows)]
    if len(wrong):
        raise DataError(f"there is no row {int(wrong[0]):,}: there are {n_rows:,}, counted from 0")
    return np.where(found < 0, found + n_rows, found)


def write_blocks(batches: Iterator[ColumnBatch], engine: Engine, file: BinaryIO, n_jobs: int | None) -> int:
    """Write batches of any length as blocks of one into a container; return how many bytes that were."""
    first = next(batches, None)
    if first is None:
        raise DataError("there is nothing to compress: give at least one piece, perhaps of no rows")
    engine.check(first.layout)
    schema, size = first.layout.schema(), engine.rows_per_block
    writer = FileWriter(file, Head(engine.fingerprint, size, first.layout.to_json()))

    def code(parts: list[np.ndarray]) -> tuple[int, bytes, int]:
        data, crc = engine.encode(parts, schema)
        return len(parts[0]), data or _NOTHING, crc

    for n_rows, data, crc in _in_order(code, _cut(first, batches, size), n_jobs):
        writer.add(data, n_rows, crc)
    writer.finish()
    return writer.n_bytes


def _cut(first: ColumnBatch, others: Iterator[ColumnBatch], size: int) -> Iterator[list[np.ndarray]]:
    """Cut batches of any length into blocks of one."""
    kept: list[list[np.ndarray]] = []
    n_kept = n_before = 0
    batch: ColumnBatch | None = first
    while batch is not None:
        if not first.layout.joins(batch.layout, n_before):
            raise DataError("a later piece has other columns or types than the first: all must be alike")
        n_rows, start = batch.n_rows, 0
        while n_kept + n_rows - start >= size:
            yield _joined([*kept, batch.cut(start, start + size - n_kept)])
            start += size - n_kept
            kept, n_kept = [], 0
        if start < n_rows:
            kept.append(batch.cut(start, n_rows))
            n_kept += n_rows - start
        n_before += n_rows
        batch = next(others, None)
    if n_kept:
        yield _joined(kept)


def _joined(pieces: list[list[np.ndarray]]) -> list[np.ndarray]:
    return pieces[0] if len(pieces) == 1 else [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def _by_block(wanted: range | np.ndarray, size: int) -> Iterator[tuple[int, slice | np.ndarray, slice | np.ndarray]]:
    """Part rows by the blocks they are in: the block, which of the wanted rows those are, and which of the block's."""
    if not len(wanted):
        return
    if not isinstance(wanted, range):
        order = np.argsort(wanted // size, kind="stable")
        owners, starts = np.unique((wanted // size)[order], return_index=True)
        for block, places in zip(owners.tolist(), np.split(order, starts[1:]), strict=True):
            yield block, places, wanted[places] - block * size
        return
    # Evenly spaced rows without a list of them: a hostile file may claim any number.
    rows = wanted if wanted.step > 0 else wanted[::-1]
    start, step, n = rows.start, rows.step, len(rows)
    for block in range(start // size, rows[-1] // size + 1):
        low, high = (min(n, max(0, -((start - edge) // step))) for edge in (block * size, (block + 1) * size))
        if low < high:
            begin, end = rows[low] - block * size, rows[high - 1] - block * size
            if wanted.step > 0:
                yield block, slice(low, high), slice(begin, end + 1, step)
            else:
                yield block, slice(n - high, n - low), slice(end, begin - 1 if begin else None, -step)


class Decoder:
    """Reads rows out of a container; a CodecFileError if the file is spoilt as a whole, or made with another codec."""

    def __init__(self, engine: Engine, source: bytes | BinaryIO, n_jobs: int | None, what: str = "this data") -> None:
        self.reader = FileReader(source, what, engine.fingerprint)
        self.engine, self.n_jobs = engine, n_jobs
        if self.reader.head.rows_per_block != engine.rows_per_block:
            raise CodecFileError(f"{what} is damaged: its blocks have not the size that its codec makes")
        try:
            self.layout = layout_from_json(self.reader.head.description)
            engine.check(self.layout)
            self.schema = self.layout.schema()
        except (NarrowsError, MemoryError) as error:
            raise CodecFileError(f"{what} is damaged: {error}") from None

    def _decode(self, block: Block) -> tuple[Block, list[np.ndarray] | CodecFileError]:
        """Decode a block; a damaged one gives its error."""
        lost = [(block.first, block.last)]
        called = f"{block.name} of {self.reader.what}"
        try:
            data = self.reader.read(block)
        except CodecFileError as error:
            return block, error
        try:
            data = b"" if data == _NOTHING else data
            parts, crc = self.engine.decode(data, block.last - block.first, self.schema)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        # What a decoder may raise over bytes that are not its own is anything, the panics of constriction included.
        except BaseException as error:  # noqa: BLE001
            return block, CodecFileError(f"{called} cannot be decoded: {error or type(error).__name__}", lost)
        if not self.reader.holds(block, crc):
            why = "does not decode to the rows it was made of: their checksum does not match"
            return block, CodecFileError(f"{called} {why}", lost)
        return block, parts

    def _decoded(
        self, blocks: Iterable[Block]
    ) -> Generator[tuple[Block, list[np.ndarray] | CodecFileError], None, None]:
        return _in_order(self._decode, blocks, self.n_jobs)

    def rows(self, rows: Any, on_damage: str) -> Any:
        """Return some rows as what they were; see ``Codec.decompress``."""
        wanted = row_numbers(rows, self.reader.n_rows)
        takes = list(_by_block(wanted, self.reader.head.rows_per_block))
        target: Target | None = None
        errors: list[CodecFileError] = []
        good: list[np.ndarray] = []
        decoded = self._decoded(self.reader.blocks[block] for block, _, _ in takes)
        for number, ((_, places, inner), (_, parts)) in enumerate(zip(takes, decoded, strict=True)):
            if isinstance(parts, CodecFileError):
                errors.append(parts)
                # A hostile file has very many of them, and each may take its time.
                if on_damage == "raise" and len(errors) >= MOST_DAMAGED:
                    decoded.close()
                    raise self._lost(errors, complete=number == len(takes) - 1)
                continue
            if on_damage != "raise":
                good.append(np.arange(places.start, places.stop) if isinstance(places, slice) else places)
            if not errors:
                # Not before a block is known to hold rows: a table may claim any number of them.
                target = target or self._restore(self.layout.target, len(wanted))
                for into, part in zip(target[0], parts, strict=True):
                    into[places] = part[inner]
        if errors and on_damage != "raise":
            warnings.warn(str(self._lost(errors)), UserWarning, stacklevel=3)
            left = np.sort(np.concatenate([np.empty(0, np.int64), *good]))
            return self.rows(wanted.start + wanted.step * left if isinstance(wanted, range) else wanted[left], "raise")
        if errors:
            raise self._lost(errors)
        if rows is None:
            self.reader.check()
        target = target or self._restore(self.layout.target, len(wanted))
        return self._restore(target[1], wanted)

    def _restore(self, step: Callable[[Any], _Out], argument: Any) -> _Out:
        try:
            return step(argument)
        # What a head with a mended checksum says of a frame reaches pandas, which may raise anything.
        except Exception as error:
            raise CodecFileError(f"{self.reader.what} cannot be restored: {error}") from error

    def _lost(self, errors: list[CodecFileError], *, complete: bool = True) -> CodecFileError:
        lost = [span for error in errors for span in error.lost]
        named = ", ".join(f"{first:,} to {last - 1:,}" for first, last in lost[:8])
        more = f" and {len(lost) - 8} more blocks" if len(lost) > 8 else ""
        if not complete:
            more = ", and perhaps more: verify() names them all"
        kept = sum(last - first for first, last in lost) < self.reader.n_rows
        hint = '; the other rows can be had: ask for them as rows=, or say on_damage="skip"' if kept else ""
        return CodecFileError(f"{errors[0]}; lost are the rows {named}{more}{hint}", lost)

    def verify(self) -> None:
        """Decode every block; the error names all that are damaged."""
        errors = [parts for _, parts in self._decoded(self.reader.blocks) if isinstance(parts, CodecFileError)]
        if errors:
            raise self._lost(errors)
        self.reader.check()

    def pieces(self) -> Iterator[tuple[int, int, Any]]:
        """Yield first row, last row and rows of each block, as what they were; the end is checked too."""
        for block, parts in self._decoded(self.reader.blocks):
            if isinstance(parts, CodecFileError):
                raise self._lost([parts])
            target = self._restore(self.layout.target, block.last - block.first)
            for into, part in zip(target[0], parts, strict=True):
                into[...] = part
            yield block.first, block.last, self._restore(target[1], range(block.first, block.last))
        self.reader.check()

"""Blocks of rows, many at a time and in order: into a container and out of it."""

from __future__ import annotations

import os
import warnings
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from narrows.codec.fileformat import Block, FileReader, FileWriter, Head
from narrows.codec.layout import Given, Layout, layout_from_json, take
from narrows.errors import CodecFileError, DataError, NarrowsError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from narrows.codec.engines import Engine
    from narrows.codec.sinks import Sink

__all__ = ["MOST_DAMAGED", "Decoder", "Encoder", "as_rows", "in_order"]

_In = TypeVar("_In")
_Out = TypeVar("_Out")

MOST_DAMAGED = 3
_NOTHING = b"\0"
"""Stands for a block without any bytes, of rows that were all certain; no block of an engine is this."""


def in_order(function: Callable[[_In], _Out], items: Iterable[_In], n_jobs: int | None) -> Generator[_Out, None, None]:
    """Apply a function to items in several threads, a few ahead; results come in the items' order.

    Parameters
    ----------
    function : callable
        Of one item.
    items : iterable
        Taken as they are needed, so that they may be many.
    n_jobs : int or None
        How many threads; None for as many as there are processors.
    """
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


def as_rows(rows: Any, n_rows: int) -> range | np.ndarray:
    """Turn what says which rows are wanted into their numbers.

    Parameters
    ----------
    rows : None, slice, int, range or array of int
        As numpy takes them; negative numbers count from the end.
    n_rows : int
        How many there are.

    Raises
    ------
    DataError
        If a row is not there.
    """
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
    if ((found < -n_rows) | (found >= n_rows)).any():
        wrong = int(found[(found < -n_rows) | (found >= n_rows)][0])
        raise DataError(f"there is no row {wrong:,}: there are {n_rows:,}, counted from 0")
    return np.where(found < 0, found + n_rows, found)


class Encoder:
    """Writes rows as they come into a container.

    Parameters
    ----------
    engine : Engine
        What codes blocks.
    fingerprint : bytes
        Of the engine.
    n_jobs : int or None
        How many blocks are coded at once.
    accept : callable
        Looks at the layout of what comes, and refuses what is not for this codec.
    image_shape : tuple of int or None
        What rows are taken for.
    """

    def __init__(
        self,
        engine: Engine,
        fingerprint: bytes,
        n_jobs: int | None,
        accept: Callable[[Layout], None],
        image_shape: tuple[int, ...] | None,
    ) -> None:
        self.engine, self.fingerprint, self.n_jobs = engine, fingerprint, n_jobs
        self.accept, self.image_shape = accept, image_shape

    def write(self, chunks: Iterable[Any], file: BinaryIO) -> int:
        """Write all chunks; return how many bytes that were.

        Raises
        ------
        DataError
            If there is no chunk, or one is not for this codec or not like the first.
        """
        given = (take(chunk, self.image_shape) for chunk in chunks)
        first = next(given, None)
        if first is None:
            raise DataError("there is nothing to compress: give at least one piece, perhaps of no rows")
        layout = first.layout
        self.accept(layout)
        schema = layout.schema()
        head = Head(self.fingerprint, self.engine.rows_per_block, layout.to_json())
        writer = FileWriter(file, head)

        def code(parts: list[np.ndarray]) -> tuple[int, bytes, int]:
            data, crc = self.engine.encode(parts, schema)
            return len(parts[0]), data or _NOTHING, crc

        blocks = _blocks(first, given, self.engine.rows_per_block)
        for n_rows, data, crc in in_order(code, blocks, self.n_jobs):
            writer.add(data, n_rows, crc)
        writer.finish()
        return writer.n_bytes


def _blocks(first: Given, others: Iterable[Given], size: int) -> Iterator[list[np.ndarray]]:
    """Cut chunks of any length into blocks of one."""
    kept: list[list[np.ndarray]] = []
    n_kept = n_before = 0
    given: Given | None = first
    others = iter(others)
    while given is not None:
        if not first.layout.joins(given.layout, n_before):
            raise DataError("a later piece has other columns or types than the first: all must be alike")
        n_rows, start = given.n_rows, 0
        while n_kept + n_rows - start >= size:
            kept.append(given.cut(start, start + size - n_kept))
            yield _joined(kept)
            start += size - n_kept
            kept, n_kept = [], 0
        if start < n_rows:
            kept.append(given.cut(start, n_rows))
            n_kept += n_rows - start
        n_before += n_rows
        given = next(others, None)
    if n_kept:
        yield _joined(kept)


def _joined(pieces: list[list[np.ndarray]]) -> list[np.ndarray]:
    return pieces[0] if len(pieces) == 1 else [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


@dataclass(frozen=True)
class _Lost:
    error: CodecFileError


@dataclass(frozen=True)
class _Take:
    """Which rows of a block are wanted, and where they go."""

    block: int
    places: slice | np.ndarray
    inner: slice | np.ndarray


def _takes(wanted: range | np.ndarray, size: int) -> Iterator[_Take]:
    """Part rows by the blocks they are in, of evenly spaced ones without a list of them."""
    if not len(wanted):
        return
    if isinstance(wanted, range):
        yield from _takes_of_range(wanted, size)
        return
    order = np.argsort(wanted // size, kind="stable")
    owners, starts = np.unique((wanted // size)[order], return_index=True)
    for block, places in zip(owners.tolist(), np.split(order, starts[1:]), strict=True):
        yield _Take(block, places, wanted[places] - block * size)


def _takes_of_range(wanted: range, size: int) -> Iterator[_Take]:
    rows = wanted if wanted.step > 0 else wanted[::-1]
    start, step, n = rows.start, rows.step, len(rows)
    for block in range(start // size, rows[-1] // size + 1):
        first = block * size
        low, high = (min(n, max(0, -((start - edge) // step))) for edge in (first, first + size))
        if low == high:
            continue
        begin, end = rows[low] - first, rows[high - 1] - first
        if wanted.step > 0:
            yield _Take(block, slice(low, high), slice(begin, end + 1, step))
        else:
            yield _Take(block, slice(n - high, n - low), slice(end, begin - 1 if begin else None, -step))


def _places(places: slice | np.ndarray) -> np.ndarray:
    return np.arange(places.start, places.stop) if isinstance(places, slice) else places


class Decoder:
    """Reads rows out of a container.

    Parameters
    ----------
    engine : Engine
        What decodes blocks.
    fingerprint : bytes
        Of the engine.
    source : bytes or binary file
        The container.
    n_jobs : int or None
        How many blocks are decoded at once.
    accept : callable
        Looks at the layout that the file tells.
    what : str
        The file in messages.

    Raises
    ------
    CodecFileError
        If the file is foreign, newer, damaged where that spoils all of it, or made with another codec.
    """

    def __init__(
        self,
        engine: Engine,
        fingerprint: bytes,
        source: bytes | BinaryIO,
        n_jobs: int | None,
        accept: Callable[[Layout], None],
        what: str = "this data",
    ) -> None:
        self.reader = FileReader(source, what, fingerprint)
        self.engine, self.n_jobs = engine, n_jobs
        head = self.reader.head
        if head.rows_per_block != engine.rows_per_block:
            raise CodecFileError(f"{what} is damaged: its blocks have not the size that its codec makes")
        try:
            self.layout = layout_from_json(head.description)
            # Looked at before its columns are listed: a hostile head may claim any number of them.
            accept(self.layout)
            self.schema = self.layout.schema()
        except (NarrowsError, MemoryError) as error:
            raise CodecFileError(f"{what} is damaged: {error}") from None

    def _decode(self, block: Block, data: bytes) -> list[np.ndarray]:
        lost = [(block.first, block.last)]
        try:
            data = b"" if data == _NOTHING else data
            parts, crc = self.engine.decode(data, block.last - block.first, self.schema)
        # What a decoder may raise over bytes that are not its own is anything, the panics of constriction included.
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
                raise
            raise CodecFileError(
                f"{block.name} of {self.reader.what} cannot be decoded: {error or type(error).__name__}", lost
            ) from None
        if not self.reader.holds(block, crc):
            raise CodecFileError(
                f"{block.name} of {self.reader.what} does not decode to the rows it was made of: their checksum does "
                "not match",
                lost,
            )
        return parts

    def _try(self, item: tuple[Block, bytes | CodecFileError]) -> tuple[Block, list[np.ndarray] | _Lost]:
        block, data = item
        if isinstance(data, CodecFileError):
            return block, _Lost(data)
        try:
            return block, self._decode(block, data)
        except CodecFileError as error:
            return block, _Lost(error)

    def _read(self, blocks: Iterable[Block]) -> Iterator[tuple[Block, bytes | CodecFileError]]:
        for block in blocks:
            try:
                yield block, self.reader.read(block)
            except CodecFileError as error:
                yield block, error

    def decoded(self, blocks: Iterable[Block]) -> Generator[tuple[Block, list[np.ndarray] | _Lost], None, None]:
        """Decode some blocks in order; a damaged one comes as its error."""
        return in_order(self._try, self._read(blocks), self.n_jobs)

    def rows(self, rows: Any, on_damage: str) -> Any:
        """Return some rows as what they were; see ``Codec.decompress``."""
        wanted = as_rows(rows, self.reader.n_rows)
        takes = list(_takes(wanted, self.reader.head.rows_per_block))
        sink: Sink | None = None
        errors: list[CodecFileError] = []
        good: list[np.ndarray] = []
        blocks = self.decoded(self.reader.blocks[taken.block] for taken in takes)
        for taken, (_, parts) in zip(takes, blocks, strict=True):
            if isinstance(parts, _Lost):
                errors.append(parts.error)
                # A hostile file has very many of them, and each may taken its time.
                if on_damage == "raise" and len(errors) >= MOST_DAMAGED:
                    blocks.close()
                    raise self._told(errors, whole=taken is takes[-1])
                continue
            if on_damage != "raise":
                good.append(_places(taken.places))
            if errors:
                continue
            # Not before a block is known to hold rows: a table may claim any number of them.
            sink = sink or self._sink(wanted)
            sink.put(taken.places, [part[taken.inner] for part in parts])
        if not errors:
            if rows is None:
                self.reader.check()
            return self._finished(sink or self._sink(wanted))
        if on_damage == "raise":
            raise self._told(errors)
        warnings.warn(str(self._told(errors)), UserWarning, stacklevel=3)
        left = np.sort(np.concatenate([np.empty(0, np.int64), *good]))
        numbers = wanted.start + wanted.step * left if isinstance(wanted, range) else wanted[left]
        return self.rows(numbers, "raise")

    def _sink(self, rows: range | np.ndarray) -> Sink:
        try:
            return self.layout.sink(len(rows), rows)
        except (ValueError, TypeError, MemoryError) as error:
            raise CodecFileError(f"{self.reader.what} cannot be restored: {error}") from None

    def _finished(self, sink: Sink) -> Any:
        try:
            return sink.finish()
        except (ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
            raise CodecFileError(f"{self.reader.what} cannot be restored: {error}") from error

    def _told(self, errors: list[CodecFileError], *, whole: bool = True) -> CodecFileError:
        lost = [span for error in errors for span in error.lost]
        named = ", ".join(f"{first:,} to {last - 1:,}" for first, last in lost[:8])
        more = f" and {len(lost) - 8} more blocks" if len(lost) > 8 else ""
        if not whole:
            more = ", and perhaps more: verify() names them all"
        kept = sum(last - first for first, last in lost) < self.reader.n_rows
        hint = '; the other rows can be had: ask for them as rows=, or say on_damage="skip"' if kept else ""
        return CodecFileError(f"{errors[0]}; lost are the rows {named}{more}{hint}", lost)

    def verify(self) -> None:
        """Decode every block; the error names all that are damaged."""
        errors = [parts.error for _, parts in self.decoded(self.reader.blocks) if isinstance(parts, _Lost)]
        if errors:
            raise self._told(errors)
        self.reader.check()

    def pieces(self) -> Iterator[tuple[int, int, Any]]:
        """Yield first row, last row and rows of each block, as what they were; the end is checked too."""
        for block, parts in self.decoded(self.reader.blocks):
            if isinstance(parts, _Lost):
                raise self._told([parts.error])
            sink = self._sink(range(block.first, block.last))
            sink.put(slice(0, block.last - block.first), parts)
            yield block.first, block.last, self._finished(sink)
        self.reader.check()

"""Rows read from a file as a stream, in bounded memory, shuffled as they pass.

The order of one pass is approximately random: segments are taken in random order, two open at a time where they are
narrow, and their rows go through a buffer from which batches are drawn at random. Reading runs ahead in a thread of
its own, so that decoding the file and training overlap.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from torch import Tensor

from narrows.data.rows import ArrayRows, Segmented, as_tensor

__all__ = ["StreamRows"]

PIECE_BYTES = 4 * 2**20
BUFFER_BYTES = 48 * 2**20


class StreamRows:
    """Rows of a :class:`Segmented` file, less some rows that are held out.

    Parameters
    ----------
    source : Segmented
        The file.
    held_out : ndarray of int, optional
        Sorted numbers of rows that this object leaves out.
    """

    def __init__(self, source: Segmented, held_out: np.ndarray | None = None) -> None:
        self._source = source
        self._held_out = np.empty(0, np.int64) if held_out is None else held_out
        self.n_features = source.n_features
        self.dtype = source.dtype
        self._starts = np.concatenate([[0], np.cumsum(source.segment_rows)]).astype(np.int64)
        self.n_rows = int(self._starts[-1]) - len(self._held_out)
        row_bytes = max(1, source.n_features * source.dtype.itemsize)
        self._piece_rows = int(np.clip(PIECE_BYTES // row_bytes, 256, 65536))
        # An open segment of a Parquet file holds a page or two of each column in memory: 3 MB a column.
        self._together = 2 if source.n_features <= 64 else 1
        self._buffer_rows = int(np.clip(BUFFER_BYTES // row_bytes, 1024, 2**20))

    def split(self, n_held_out: int, seed: int) -> tuple[StreamRows, ArrayRows]:
        """Hold out some rows at random."""
        numbers = np.sort(np.random.default_rng(seed).choice(self.n_rows, n_held_out, replace=False))
        return StreamRows(self._source, numbers), self.subset(numbers)

    def subset(self, index: np.ndarray) -> ArrayRows:
        """Read the rows with these rising numbers into memory, in one pass over the file."""
        found, start = [], 0
        for piece in self._pieces(np.arange(len(self._starts) - 1), together=1):
            low, high = np.searchsorted(index, [start, start + len(piece)])
            if high > low:
                found.append(piece[index[low:high] - start])
            start += len(piece)
        return ArrayRows(np.concatenate(found))

    def blocks(self, rows: int) -> Iterator[Tensor]:
        """Yield all rows in file order, exactly ``rows`` at a time but for the last block."""
        kept: list[np.ndarray] = []
        waiting = 0
        for piece in _read_ahead(self._pieces(np.arange(len(self._starts) - 1), together=1)):
            kept.append(piece)
            waiting += len(piece)
            if waiting < rows:
                continue
            joined = np.concatenate(kept) if len(kept) > 1 else piece
            full = waiting - waiting % rows
            for start in range(0, full, rows):
                yield as_tensor(joined[start : start + rows])
            kept = [joined[full:]]
            waiting -= full
        if waiting:
            yield as_tensor(np.concatenate(kept))

    def batches(self, rows: int, seed: int, skip: int = 0) -> Iterator[Tensor]:
        """Yield all rows once, shuffled through a buffer; the last batch is as short as it comes."""
        for number, batch in enumerate(self._shuffled(rows, np.random.default_rng(seed))):
            if number >= skip:
                yield as_tensor(batch)

    def _shuffled(self, rows: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        capacity = max(self._buffer_rows, 2 * rows)
        buffer = np.empty((0, self.n_features), self.dtype)
        arrived: list[np.ndarray] = []
        waiting = 0
        segments = rng.permutation(len(self._starts) - 1)
        for piece in _read_ahead(self._pieces(segments, together=self._together)):
            arrived.append(piece)
            waiting += len(piece)
            if waiting < capacity // 2:
                continue
            # What is left of the last filling is mixed with what has come since; half goes out, half stays to mix.
            buffer = np.concatenate([buffer, *arrived])
            arrived, waiting = [], 0
            order = rng.permutation(len(buffer))
            out = len(buffer) // 2 // rows * rows
            for start in range(0, out, rows):
                yield buffer[order[start : start + rows]]
            buffer = buffer[order[out:]]
        buffer = np.concatenate([buffer, *arrived])
        order = rng.permutation(len(buffer))
        for start in range(0, len(buffer), rows):
            yield buffer[order[start : start + rows]]

    def _pieces(self, segments: np.ndarray, together: int) -> Iterator[np.ndarray]:
        """Read segments in the order given, ``together`` of them by turns, without the rows held out."""
        waiting = list(segments[::-1])
        reading: list[Iterator[np.ndarray]] = []
        while waiting or reading:
            while waiting and len(reading) < together:
                reading.append(self._segment(int(waiting.pop())))
            for reader in list(reading):
                piece = next(reader, None)
                if piece is None:
                    reading.remove(reader)
                elif len(piece):
                    yield piece

    def _segment(self, segment: int) -> Iterator[np.ndarray]:
        start = self._starts[segment]
        for piece in self._source.read(segment, self._piece_rows):
            low, high = np.searchsorted(self._held_out, [start, start + len(piece)])
            out = self._held_out[low:high] - start
            yield np.delete(piece, out, axis=0) if len(out) else piece
            start += len(piece)


def _read_ahead(pieces: Iterator[np.ndarray], depth: int = 2) -> Iterator[np.ndarray]:
    """Run an iterator in a thread, a few items ahead; stops with its consumer and passes errors on."""
    ready: queue.Queue[tuple[np.ndarray | None, BaseException | None]] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: tuple[np.ndarray | None, BaseException | None]) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            for piece in pieces:
                put((piece, None))
                if stop.is_set():
                    return
            put((None, None))
        except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
            put((None, error))

    thread = threading.Thread(target=work, name="narrows-read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            piece, error = ready.get()
            if error is not None:
                raise error
            if piece is None:
                return
            yield piece
    finally:
        stop.set()
        thread.join()

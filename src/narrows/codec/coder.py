"""The entropy coder: one face for writing symbols and for reading them back.

A model is written once, as the walk that asks the coder for one group of symbols after another. With a `Writer` the
symbols are known and go into the stream; with a `Reader` they come out of it. The same lines of arithmetic therefore
lead both ways, and what was written can be read.

The coder itself is constriction's range coder [1]_. Its 24-bit distributions are made from the weights given here.
Weights must be whole numbers below 2**24 with a sum below 2**24 for every row: such sums are exact in float32, so every
machine makes the same distribution of them.

References
----------
.. [1] R. Bamler, "Understanding entropy coding with asymmetric numeral systems", arXiv:2201.01741 (2022);
   https://bamler-lab.github.io/constriction/
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

__all__ = ["Coder", "Reader", "Writer"]


class Coder(Protocol):
    """What a model asks of the entropy coder, whichever way the symbols go."""

    writes: bool

    def weighted(self, weights: np.ndarray, symbols: np.ndarray | None) -> np.ndarray:
        """Symbols 0..k-1, each with its own row of weights; (n, k) whole numbers held as float32 → (n,) int32."""
        ...

    def evenly(self, sizes: np.ndarray, symbols: np.ndarray | None) -> np.ndarray:
        """Symbols, each evenly spread over 0..size-1; sizes (n,) of 1 to 2**24 → (n,) int32."""
        ...


def _models() -> tuple[Any, Any, Any]:
    import constriction

    model = constriction.stream.model
    return constriction.stream.queue, model.Categorical(perfect=False), model.Uniform()


class Writer:
    """Writes the symbols it is given."""

    writes = True

    def __init__(self) -> None:
        queue, self._weighted, self._even = _models()
        self._queue = queue.RangeEncoder()

    def weighted(self, weights: np.ndarray, symbols: np.ndarray | None) -> np.ndarray:
        """Write symbols by their weights; returns them as they came, in int32."""
        symbols = np.ascontiguousarray(symbols, dtype=np.int32)
        if len(symbols):
            self._queue.encode(symbols, self._weighted, np.ascontiguousarray(weights, dtype=np.float32))
        return symbols

    def evenly(self, sizes: np.ndarray, symbols: np.ndarray | None) -> np.ndarray:
        """Write symbols that may be anything below their size; those of size 1 cost nothing."""
        symbols = np.ascontiguousarray(symbols, dtype=np.int32)
        real = np.flatnonzero(sizes > 1)
        if len(real):
            self._queue.encode(symbols[real], self._even, np.ascontiguousarray(sizes[real], dtype=np.int32))
        return symbols

    def finish(self) -> bytes:
        """Return the whole stream: little-endian 32-bit words."""
        return self._queue.get_compressed().astype("<u4").tobytes()


class Reader:
    """Reads the symbols that a `Writer` wrote, asked for in the same order with the same weights."""

    writes = False

    def __init__(self, data: bytes) -> None:
        queue, self._weighted, self._even = _models()
        self._queue = queue.RangeDecoder(np.frombuffer(data, dtype="<u4").astype(np.uint32))

    def weighted(self, weights: np.ndarray, symbols: np.ndarray | None = None) -> np.ndarray:
        """Read one symbol for each row of weights."""
        if not len(weights):
            return np.zeros(0, dtype=np.int32)
        return self._queue.decode(self._weighted, np.ascontiguousarray(weights, dtype=np.float32))

    def evenly(self, sizes: np.ndarray, symbols: np.ndarray | None = None) -> np.ndarray:
        """Read one symbol for each size."""
        found = np.zeros(len(sizes), dtype=np.int32)
        real = np.flatnonzero(sizes > 1)
        if len(real):
            found[real] = self._queue.decode(self._even, np.ascontiguousarray(sizes[real], dtype=np.int32))
        return found

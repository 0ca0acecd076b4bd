"""The entropy coder: one face for writing symbols, for reading them back, and for adding up what writing would cost.

A model is written once, as a sequence of calls that name one group of symbols after another. With a `Writer` the
symbols are known and go into the stream, with a `Reader` they come out of it, by the same lines of arithmetic.

The coder itself is constriction's range coder [1]_, with 24-bit distributions made from the weights given here. Weights
are whole numbers below 2**24 with a sum below 2**24 for every row: such sums are exact in float32, so every machine
makes the same distribution of them.

References
----------
.. [1] R. Bamler, "Understanding entropy coding with asymmetric numeral systems", arXiv:2201.01741 (2022);
   https://bamler-lab.github.io/constriction/
"""

from typing import Any

import numpy as np

from narrows.errors import DataError

__all__ = ["BitCounter", "EntropyCoder", "Reader", "Writer", "require_constriction"]


def require_constriction() -> Any:
    """Return the module of stream coders, or refuse to begin without it."""
    try:
        import constriction
    except ImportError:
        raise DataError('a codec needs constriction, which is not installed: pip install "narrows[codec]"') from None
    return constriction.stream


class EntropyCoder:
    """What a model asks of the entropy coder, whichever way the symbols go."""

    writes = True

    def __init__(self) -> None:
        self._models = require_constriction().model

    def weighted(self, weights: np.ndarray, symbols: np.ndarray | None = None) -> np.ndarray:
        """Code symbols 0..k-1, each with its own row of weights, (n, k) whole numbers in float32; int32 (n,)."""
        model = self._models.Categorical(perfect=False)
        return self._code(model, np.ascontiguousarray(weights, dtype=np.float32), symbols)

    def uniform(self, sizes: np.ndarray, symbols: np.ndarray | None = None) -> np.ndarray:
        """Code symbols that are uniform over 0..size-1, sizes (n,) of 1 to 2**24; int32 (n,). Size 1 costs nothing."""
        found, real = np.zeros(len(sizes), dtype=np.int32), np.flatnonzero(sizes > 1)
        known = None if symbols is None else symbols[real]
        found[real] = self._code(self._models.Uniform(), np.ascontiguousarray(sizes[real], dtype=np.int32), known)
        return found

    def _code(self, model: Any, parameters: np.ndarray, symbols: np.ndarray | None) -> np.ndarray:
        """Code one symbol for each row of a distribution's parameters; int32."""
        raise NotImplementedError


class Writer(EntropyCoder):
    """Writes the symbols it is given."""

    def __init__(self) -> None:
        super().__init__()
        self._queue = require_constriction().queue.RangeEncoder()

    def _code(self, model: Any, parameters: np.ndarray, symbols: np.ndarray | None) -> np.ndarray:
        symbols = np.ascontiguousarray(symbols, dtype=np.int32)
        if len(symbols):
            self._queue.encode(symbols, model, parameters)
        return symbols

    def finish(self) -> bytes:
        """Return the whole stream: little-endian 32-bit words."""
        return self._queue.get_compressed().astype("<u4").tobytes()


class Reader(EntropyCoder):
    """Reads the symbols that a `Writer` wrote, asked for in the same order with the same weights."""

    writes = False

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._queue = require_constriction().queue.RangeDecoder(np.frombuffer(data, dtype="<u4").astype(np.uint32))

    def _code(self, model: Any, parameters: np.ndarray, symbols: np.ndarray | None) -> np.ndarray:
        return self._queue.decode(model, parameters) if len(parameters) else np.zeros(0, dtype=np.int32)


class BitCounter(EntropyCoder):
    """Adds up what writing would cost, in bits."""

    def __init__(self) -> None:
        self.bits = 0.0

    def weighted(self, weights: np.ndarray, symbols: np.ndarray | None = None) -> np.ndarray:
        """Count the cost of symbols by their weights."""
        assert symbols is not None
        own = np.take_along_axis(weights, symbols[:, None].astype(np.int64), axis=1)[:, 0]
        self.bits += float((np.log2(weights.sum(axis=1)) - np.log2(own)).sum())
        return symbols

    def uniform(self, sizes: np.ndarray, symbols: np.ndarray | None = None) -> np.ndarray:
        """Count the cost of symbols below their sizes."""
        assert symbols is not None
        self.bits += float(np.log2(sizes).sum())
        return symbols.astype(np.int32)

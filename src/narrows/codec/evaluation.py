"""What a codec is worth: rows held out of the fit, and the general compressors on the same rows."""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.codec import peers
from narrows.codec.blocks import write_blocks
from narrows.codec.columns.layout import ColumnBatch
from narrows.errors import NotBetterThanBaselineWarning

if TYPE_CHECKING:
    from narrows.codec.engine import Engine

__all__ = ["held_out_rows", "measure", "measure_peers", "rows_to_pay", "warn_where_no_better"]

_MOST_HELD = 4096
_MOST_BYTES = 4 << 20
_STRETCHES = 8
_FEWEST = 20


def _raw_bytes(batch: ColumnBatch) -> int:
    """Return how many bytes the rows take as they are; of text its own length."""
    return sum(part.nbytes if part.dtype.kind != "O" else len(peers.as_text(part)) for part in batch.parts)


def held_out_rows(batch: ColumnBatch) -> tuple[np.ndarray, np.ndarray]:
    """Choose rows to measure with: some stretches of neighbours, so that logs and series stay what they are.

    Returns
    -------
    fit, measured : ndarray of int
        Row numbers, rising. Of fewer than 20 rows all are in both.
    """
    n = batch.n_rows
    if n < _FEWEST:
        return np.arange(n), np.arange(n)
    per_row = max(1, _raw_bytes(ColumnBatch(batch.layout, batch.cut(0, min(n, 1000)))) // min(n, 1000))
    count = max(1, min(n // 10, _MOST_HELD, _MOST_BYTES // per_row))
    stretches = min(_STRETCHES, count)
    length = count // stretches
    starts = ((np.arange(stretches) + 0.5) * n / stretches - length / 2).astype(np.int64)
    mask = np.zeros(n, dtype=bool)
    mask[(np.maximum(starts, 0)[:, None] + np.arange(length)).ravel()] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def measure(engine: Engine, held: ColumnBatch, n_jobs: int | None) -> dict[str, Any]:
    """Return what held-out rows take by an engine, as they are, and by the general compressors."""
    count = max(1, held.n_rows * held.layout.row_values)
    return {
        "n_held_out": held.n_rows,
        "raw_bits_per_value": 8.0 * _raw_bytes(held) / count,
        "bits_per_value": 8.0 * write_blocks(iter([held]), engine, io.BytesIO(), n_jobs) / count,
        "peers": measure_peers(engine, held),
    }


def measure_peers(engine: Engine, batch: ColumnBatch) -> dict[str, float | None]:
    """Return the bits per value that general compressors need for rows, None for those that are not installed."""
    values = max(1, batch.n_rows * batch.layout.row_values)
    return {name: None if size is None else 8.0 * size / values for name, size in engine.peers(batch).items()}


def rows_to_pay(model_bytes: int, own: float, others: dict[str, Any], values: int) -> int | None:
    """Return after how many rows the model's own bytes are won back against the best peer; None for never."""
    best = min((bits for bits in others.values() if bits is not None), default=None)
    if best is None or own >= best:
        return None
    return math.ceil(8 * model_bytes / ((best - own) * values))


def warn_where_no_better(bits_per_value: float, n_held_out: int, others: dict[str, Any]) -> None:
    """Warn when a general compressor does as well as the codec."""
    known = {name: bits for name, bits in others.items() if bits is not None}
    best = min(known, key=lambda name: known[name], default=None)
    if best is not None and bits_per_value >= known[best]:
        warnings.warn(
            f"the codec takes {bits_per_value:.3f} bits per value on {n_held_out:,} held-out rows, and {best} "
            f"{known[best]:.3f}: a general compressor does as well here",
            NotBetterThanBaselineWarning,
            stacklevel=4,
        )

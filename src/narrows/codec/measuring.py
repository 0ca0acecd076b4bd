"""What a codec is worth: rows held out of the fit, and the general compressors on the same rows."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.codec import peers
from narrows.codec.layout import Given
from narrows.errors import NotBetterThanBaselineWarning
from narrows.estimator.serialization import file_size

if TYPE_CHECKING:
    from narrows.codec.codec import Codec
    from narrows.codec.columns import TableForm
    from narrows.codec.engines import Engine

__all__ = ["held_out", "measure", "measure_peers", "raw_bytes", "rows_to_pay", "warn_where_no_better"]

_MOST_HELD = 4096
_MOST_BYTES = 4 << 20
_STRETCHES = 8
_FEWEST = 20


def raw_bytes(given: Given) -> int:
    """Return how many bytes the rows take as they are; of text its own length."""
    total = 0
    for part in given.parts:
        total += part.nbytes if part.dtype.kind != "O" else len(peers.as_text(part))
    return total


def held_out(given: Given) -> tuple[np.ndarray, np.ndarray]:
    """Choose rows to measure with: some stretches of neighbours, so that logs and series stay what they are.

    Returns
    -------
    fit, measured : ndarray of int
        Row numbers, rising. Of fewer than 20 rows all are in both.
    """
    n = given.n_rows
    if n < _FEWEST:
        return np.arange(n), np.arange(n)
    per_row = max(1, raw_bytes(Given(given.layout, given.cut(0, min(n, 1000)))) // min(n, 1000))
    count = max(1, min(n // 10, _MOST_HELD, _MOST_BYTES // per_row))
    stretches = min(_STRETCHES, count)
    length = count // stretches
    starts = ((np.arange(stretches) + 0.5) * n / stretches - length / 2).astype(np.int64)
    chosen = (np.maximum(starts, 0)[:, None] + np.arange(length)).ravel()
    mask = np.zeros(n, dtype=bool)
    mask[chosen] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def measure_peers(given: Given, engine: Engine) -> dict[str, float | None]:
    """Return the bits per value that general compressors need for rows, None for those that are not installed.

    Numbers that the codec takes for whole numbers (decimals, values within a bound) are given to them as such, each
    column in the smallest type that holds it. To a code alone nothing compares.
    """
    if engine.kind == "codes":
        return {}
    form = getattr(engine, "form", None)
    sizes = peers.on_pictures(given.parts[0]) if form is None else peers.on_columns(_as_whole(given, form))
    values = max(1, given.n_rows * given.layout.row_values)
    return {name: None if size is None else 8.0 * size / values for name, size in sizes.items()}


def _as_whole(given: Given, form: TableForm) -> list[np.ndarray]:
    columns = []
    for coder, part in zip(form.coders, given.parts, strict=True):
        if part.dtype.kind == "O" or not coder.kinds:
            columns.append(part)
            continue
        codes, bad, _ = coder.encode(np.ascontiguousarray(part))
        columns += [part] if bad.any() else [peers.smallest(code) for code in codes.T]
    return columns


def rows_to_pay(model_bytes: int, own: float, others: dict[str, Any], values: int) -> int | None:
    """Return after how many rows the model's own bytes are won back against the best peer; None for never."""
    best = min((bits for bits in others.values() if bits is not None), default=None)
    if best is None or own >= best:
        return None
    return int(np.ceil(8 * model_bytes / ((best - own) * values)))


def measure(codec: Codec, held: Given) -> None:
    """Measure a fitted codec on held-out rows; what it is worth becomes its attributes."""
    values = held.layout.row_values
    codec.n_held_out_ = held.n_rows
    count = max(1, held.n_rows * values)
    codec.raw_bits_per_value_ = 8.0 * raw_bytes(held) / count
    codec.bits_per_value_ = 8.0 * len(codec.compress(held)) / count
    codec.peers_ = measure_peers(held, codec._engine)
    codec.rows_to_pay_, codec.model_bytes_ = None, 0
    codec.model_bytes_ = file_size(codec)
    codec.rows_to_pay_ = rows_to_pay(codec.model_bytes_, codec.bits_per_value_, codec.peers_, values)


def warn_where_no_better(codec: Codec) -> None:
    """Warn when a general compressor does as well as the codec."""
    known = {name: bits for name, bits in codec.peers_.items() if bits is not None}
    best = min(known, key=lambda name: known[name], default=None)
    if best is not None and codec.bits_per_value_ >= known[best]:
        warnings.warn(
            f"the codec takes {codec.bits_per_value_:.3f} bits per value on {codec.n_held_out_:,} held-out rows, and "
            f"{best} {known[best]:.3f}: a general compressor does as well here",
            NotBetterThanBaselineWarning,
            stacklevel=3,
        )

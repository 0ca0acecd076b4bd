"""The code alone: an autoencoder's code, rounded to steps, is kept; what its decoder makes of that comes back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.codec.engines import State, model_class
from narrows.codec.layout import ArrayLayout, Given
from narrows.codec.packing import checksum
from narrows.errors import CodecFileError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from narrows.autoencoder import Autoencoder
    from narrows.codec.columns import Schema

__all__ = ["CodesEngine", "choose_step", "fit_codes", "values_of"]

_INSIDE = "autoencoder."
_MOST = 2.0**31
_FINEST, _COARSEST = -14, 5


def values_of(parts: list[np.ndarray]) -> np.ndarray:
    """Return rows as one array of two dimensions."""
    if len(parts) == 1 and parts[0].ndim > 1:
        return parts[0].reshape(len(parts[0]), -1)
    return np.stack(parts, axis=1)


class CodesEngine:
    """Rows by the code of an autoencoder.

    Parameters
    ----------
    autoencoder : Autoencoder
        Fitted.
    step : float
        What codes are rounded to whole multiples of.
    offsets : ndarray of int64, shape (n_components,)
        What the model's zero is in each of them.
    model : TableModel
        Of the whole numbers.
    shape : tuple of int or None
        Of pictures, if rows are such.
    """

    kind = "codes"

    def __init__(
        self, autoencoder: Autoencoder, step: float, offsets: np.ndarray, model: Any, shape: tuple[int, ...] | None
    ) -> None:
        self.autoencoder = autoencoder
        self.step = step
        self.offsets = offsets
        self.model = model
        self.shape = shape
        self.rows_per_block = int(model.rows_per_block)
        self.n_columns = autoencoder.n_features_in_
        self._lock = threading.Lock()

    def encode(self, parts: list[np.ndarray], schema: Schema) -> tuple[bytes, int]:
        """Turn rows into bytes."""
        with self._lock:
            codes = self.autoencoder.transform(values_of(parts))
        whole = np.ascontiguousarray(_rounded(codes, self.step) - self.offsets)
        return self.model.encode(whole), checksum(whole)

    def decode(self, data: bytes, n_rows: int, schema: Schema) -> tuple[list[np.ndarray], int]:
        """Turn bytes into what the decoder makes of them; the checksum is that of the code."""
        whole = np.ascontiguousarray(self.model.decode(data, n_rows), dtype=np.int64)
        if whole.shape != (n_rows, len(self.offsets)):
            raise CodecFileError("a code has not the size it should")
        with self._lock:
            rows = self.autoencoder.inverse_transform((whole + self.offsets) * self.step)
        rows = np.asarray(rows, dtype=np.float64).reshape(n_rows, -1)
        if self.shape is not None:
            return [_as(rows, np.dtype(np.uint8)).reshape(n_rows, *self.shape)], checksum(whole)
        return [_as(rows[:, j], dtype) for j, (_, dtype) in enumerate(schema)], checksum(whole)

    def check(self, schema: Schema) -> None:
        """Refuse rows of another size."""
        if len(schema) != self.autoencoder.n_features_in_:
            raise DataError(
                f"the codec was fitted to {self.autoencoder.n_features_in_:,} columns, and these are {len(schema):,}"
            )

    def to_state(self) -> State:
        """Return all of this as JSON values and arrays."""
        from narrows.estimator import state

        inner, weights = state.to_file(self.autoencoder)
        options, arrays = self.model.to_state()
        kept = {_INSIDE + name: tensor.detach().cpu().numpy() for name, tensor in weights.items()}
        kept |= {f"model/{name}": array for name, array in arrays.items()} | {"offsets/": self.offsets}
        shape = None if self.shape is None else list(self.shape)
        return {"step": self.step, "shape": shape, "model": options, "autoencoder": inner}, kept

    @classmethod
    def from_state(cls, options: dict[str, Any], arrays: dict[str, np.ndarray]) -> CodesEngine:
        """Rebuild an engine from its state."""
        import torch

        from narrows.autoencoder import Autoencoder
        from narrows.estimator import state

        weights = {
            name.removeprefix(_INSIDE): torch.from_numpy(np.array(array))
            for name, array in arrays.items()
            if name.startswith(_INSIDE)
        }
        inner = {name.removeprefix("model/"): array for name, array in arrays.items() if name.startswith("model/")}
        autoencoder = state.from_file(Autoencoder, options["autoencoder"], weights, network=None, device="auto")
        model = model_class("table").from_state(options["model"], inner)
        shape = None if options["shape"] is None else tuple(options["shape"])
        return cls(autoencoder, options["step"], arrays["offsets/"].astype(np.int64), model, shape)


def _rounded(codes: np.ndarray, step: float) -> np.ndarray:
    scaled = np.rint(np.asarray(codes, dtype=np.float64) / step)
    return np.clip(np.nan_to_num(scaled), -_MOST, _MOST).astype(np.int64)


def _as(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return numbers in a type, rounded and kept within its limits."""
    if dtype.kind not in "iu":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    # float64 has no neighbour of the largest int64 below 2**63, so the edge itself is one step lower.
    high = float(limits.max) if limits.bits < 64 else np.nextafter(float(limits.max), 0)
    return np.clip(np.rint(values), float(limits.min), high).astype(dtype)


def fit_codes(
    given: Given,
    held: np.ndarray,
    fit: np.ndarray,
    n_components: Any,
    max_seconds: float,
    seed: int,
    tell: Callable[[Any], None],
) -> tuple[CodesEngine, list[dict[str, float]], list[Any]]:
    """Fit an autoencoder, choose the step, and fit a model to the codes.

    Returns
    -------
    engine : CodesEngine
        Fitted.
    curve : list of dict
        Rate and distortion for each step, on held-out rows.
    history : list
        The autoencoder's.
    """
    from narrows.autoencoder import Autoencoder

    layout = given.layout
    if not isinstance(layout, ArrayLayout) or layout.dtype.kind not in "biuf" or layout.dtype.itemsize > 8:
        raise DataError("code_only keeps an autoencoder's code, which is for arrays of numbers")
    shape = layout.picture
    size = "auto" if n_components is None else n_components
    autoencoder = Autoencoder(
        size, image_shape=shape, max_seconds=0.7 * max_seconds, callbacks=[tell], random_state=seed
    )
    rows = values_of(given.parts)
    autoencoder.fit(rows[fit])
    step, curve = choose_step(autoencoder, rows[held])
    codes = _rounded(autoencoder.transform(rows[fit]), step)
    offsets = codes.min(axis=0)
    kinds = ["ordered"] * codes.shape[1]
    model = model_class("table").fit(codes - offsets, kinds=kinds, max_seconds=0.3 * max_seconds, random_state=seed)
    return CodesEngine(autoencoder, step, offsets, model, shape), curve, list(autoencoder.history_)


def choose_step(autoencoder: Autoencoder, rows: np.ndarray) -> tuple[float, list[dict[str, float]]]:
    """Choose the largest step that raises the error by at most a twentieth, and keep what each costs.

    Parameters
    ----------
    autoencoder : Autoencoder
        Fitted.
    rows : ndarray of shape (n, n_features)
        Held out of the fit.

    Returns
    -------
    step : float
        The chosen one.
    curve : list of dict
        Of each step ``bits_per_row`` and ``bits_per_value`` (the entropy of each number of the code by itself, which
        a model of the code may undercut), ``mse``, ``psnr`` (its peak the range of these rows), and whether it is
        ``chosen``.
    """
    codes = np.asarray(autoencoder.transform(rows), dtype=np.float64)
    wide = rows.astype(np.float64)
    peak = float(wide.max() - wide.min()) or 1.0
    scale = float(codes.std()) or 1.0
    plain = _error(autoencoder, codes, wide)
    curve = []
    for power in range(_FINEST, _COARSEST):
        step = scale * 2.0 ** (power / 2)
        whole = _rounded(codes, step)
        error = _error(autoencoder, whole * step, wide)
        bits = sum(_entropy(column) for column in whole.T)
        psnr = 10 * np.log10(peak**2 / error) if error else float("inf")
        curve.append(
            {
                "step": step,
                "bits_per_row": bits,
                "bits_per_value": bits / rows.shape[1],
                "mse": error,
                "psnr": min(float(psnr), 999.0),
            }
        )
    good = [number for number, point in enumerate(curve) if point["mse"] <= 1.05 * plain]
    chosen = good[-1] if good else 0
    return curve[chosen]["step"], [point | {"chosen": n == chosen} for n, point in enumerate(curve)]


def _error(autoencoder: Autoencoder, codes: np.ndarray, wide: np.ndarray) -> float:
    rebuilt = np.asarray(autoencoder.inverse_transform(codes), dtype=np.float64).reshape(wide.shape)
    return float(np.mean((rebuilt - wide) ** 2))


def _entropy(column: np.ndarray) -> float:
    _, counts = np.unique(column, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())

"""The engine that keeps the code alone: an autoencoder's code, rounded; what its decoder makes of that comes back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.autoencoder import Autoencoder
from narrows.codec.columns.layout import ArrayLayout, Layout
from narrows.codec.container.format import checksum
from narrows.codec.engine import Engine, FitOptions, State
from narrows.codec.table.engine import TableModel
from narrows.errors import CodecFileError, DataError
from narrows.estimator import state

if TYPE_CHECKING:
    from narrows.codec.columns.form import Schema
    from narrows.codec.columns.layout import ColumnBatch

__all__ = ["CodesEngine", "choose_step"]

_INSIDE = "autoencoder."
_MOST = 2.0**31
_FINEST, _COARSEST = -14, 5
_ONE_AT_A_TIME = threading.Lock()


class CodesEngine(Engine):
    """Rows by the code of an autoencoder, rounded to multiples of a step; a table model codes what exceeds offsets."""

    kind = "codes"

    def __init__(
        self, autoencoder: Autoencoder, step: float, offsets: np.ndarray, model: Any, shape: tuple[int, ...] | None
    ) -> None:
        self.autoencoder, self.step, self.offsets, self.model = autoencoder, step, offsets, model
        self.shape, self.history = shape, list(autoencoder.history_)
        self.rows_per_block = int(model.rows_per_block)

    @classmethod
    def fit(cls, batch: ColumnBatch, held_out: ColumnBatch, options: FitOptions) -> CodesEngine:
        """Fit an autoencoder, choose the step on held-out rows, and fit a model to the codes."""
        layout = batch.layout
        if not isinstance(layout, ArrayLayout) or layout.dtype.kind not in "biuf" or layout.dtype.itemsize > 8:
            raise DataError("code_only keeps an autoencoder's code, which is for arrays of numbers")
        autoencoder = Autoencoder(
            "auto" if options.n_components is None else options.n_components,
            image_shape=layout.picture,
            max_seconds=0.7 * options.max_seconds,
            callbacks=[options.progress],
            random_state=options.seed,
        )
        rows = batch.matrix()
        autoencoder.fit(rows)
        step, curve = choose_step(autoencoder, held_out.matrix())
        codes = _rounded(autoencoder.transform(rows), step)
        offsets = codes.min(axis=0)
        model = TableModel.fit(codes - offsets, max_seconds=0.3 * options.max_seconds, random_state=options.seed)
        engine = cls(autoencoder.set_params(callbacks=()), step, offsets, model, layout.picture)
        engine.rate_distortion = curve
        return engine

    def check(self, layout: Layout) -> None:
        """Refuse rows of another size or shape."""
        known = self.autoencoder.n_features_in_
        if layout.picture != self.shape:
            raise DataError(f"the codec was fitted to rows of shape {self.shape}, and these are {layout.picture}")
        if layout.row_values != known or not isinstance(layout, ArrayLayout):
            raise DataError(f"the codec was fitted to {known:,} columns, and these are {layout.row_values:,}")

    def encode(self, parts: list[np.ndarray], schema: Schema) -> tuple[bytes, int]:
        """Turn rows into bytes."""
        rows = parts[0].reshape(len(parts[0]), -1) if self.shape is not None else np.stack(parts, axis=1)
        with _ONE_AT_A_TIME:
            codes = self.autoencoder.transform(rows)
        whole = np.ascontiguousarray(_rounded(codes, self.step) - self.offsets)
        return self.model.encode(whole), checksum(whole)

    def decode(self, data: bytes, n_rows: int, schema: Schema) -> tuple[list[np.ndarray], int]:
        """Turn bytes into what the decoder makes of them; the checksum is that of the code."""
        whole = np.ascontiguousarray(self.model.decode(data, n_rows), dtype=np.int64)
        with _ONE_AT_A_TIME:
            rows = self.autoencoder.inverse_transform((whole + self.offsets) * self.step)
        rows = np.asarray(rows, dtype=np.float64).reshape(n_rows, -1)
        if self.shape is not None:
            return [_as(rows, np.dtype(np.uint8)).reshape(n_rows, *self.shape)], checksum(whole)
        return [_as(rows[:, j], dtype) for j, (_, dtype) in enumerate(schema)], checksum(whole)

    def peers(self, batch: ColumnBatch) -> dict[str, int | None]:
        """Return nothing: to a code alone nothing compares."""
        return {}

    def to_state(self) -> State:
        """Return all of this as JSON values and arrays."""
        inner, weights = state.to_file(self.autoencoder)
        options, arrays = self.model.to_state()
        kept = {_INSIDE + name: tensor.detach().cpu().numpy() for name, tensor in weights.items()}
        kept |= {f"model/{name}": array for name, array in arrays.items()} | {"offsets/": self.offsets}
        shape = None if self.shape is None else list(self.shape)
        return {"step": self.step, "shape": shape, "model": options, "autoencoder": inner}, kept

    @classmethod
    def from_state(cls, options: dict[str, Any], arrays: dict[str, np.ndarray]) -> CodesEngine:
        """Rebuild an engine from its state."""
        weights = {
            name.removeprefix(_INSIDE): torch.from_numpy(np.array(array))
            for name, array in arrays.items()
            if name.startswith(_INSIDE)
        }
        autoencoder = state.from_file(Autoencoder, options["autoencoder"], weights, network=None, device="cpu")
        inner = {name.removeprefix("model/"): array for name, array in arrays.items() if name.startswith("model/")}
        model, step, offsets = TableModel.from_state(options["model"], inner), options["step"], arrays["offsets/"]
        shape = None if options["shape"] is None else tuple(options["shape"])
        good = type(step) is float and 0 < step < 1e300 and offsets.dtype == np.int64
        if not good or offsets.shape != (len(model.columns),) or len(offsets) != autoencoder.n_components_:
            raise CodecFileError("the codec's code cannot be")
        if shape is not None and np.prod(shape) != autoencoder.n_features_in_:
            raise CodecFileError("the codec is for pictures of another shape than its autoencoder")
        return cls(autoencoder, step, offsets, model, shape)


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


def choose_step(autoencoder: Autoencoder, rows: np.ndarray) -> tuple[float, list[dict[str, Any]]]:
    """Choose the largest step that raises the error by at most a twentieth, and keep what each costs.

    Bits are the entropy of each number of the code by itself, which a model of the code may undercut; the peak of the
    ``psnr`` is the range of these rows.
    """
    codes = np.asarray(autoencoder.transform(rows), dtype=np.float64)
    rows = rows.astype(np.float64)

    def error(code: np.ndarray) -> float:
        rebuilt = np.asarray(autoencoder.inverse_transform(code), dtype=np.float64).reshape(rows.shape)
        return float(np.mean((rebuilt - rows) ** 2))

    peak, scale = float(np.ptp(rows)) or 1.0, float(codes.std()) or 1.0
    curve: list[dict[str, Any]] = []
    for power in range(_FINEST, _COARSEST):
        step = scale * 2.0 ** (power / 2)
        whole = _rounded(codes, step)
        mse, bits = error(whole * step), sum(_entropy(column) for column in whole.T)
        psnr = min(float(10 * np.log10(peak**2 / mse)), 999.0) if mse else 999.0
        curve.append(
            {"step": step, "bits_per_row": bits, "bits_per_value": bits / rows.shape[1], "mse": mse, "psnr": psnr}
        )
    most = 1.05 * error(codes)
    good = [number for number, point in enumerate(curve) if point["mse"] <= most]
    chosen = good[-1] if good else 0
    return curve[chosen]["step"], [point | {"chosen": n == chosen} for n, point in enumerate(curve)]


def _entropy(column: np.ndarray) -> float:
    _, counts = np.unique(column, return_counts=True)
    frequency = counts / counts.sum()
    return float(-(frequency * np.log2(frequency)).sum())

"""The engine of pictures of eight bits: a network predicts each value from those before it."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.codec import evaluation
from narrows.codec.container.entropy import Reader, Writer
from narrows.codec.engine import Engine, FitOptions, State, open_block, smallest_block
from narrows.codec.pictures.coder import STEP, PictureCoder
from narrows.codec.pictures.network import PictureNet, PictureObjective, is_weight
from narrows.codec.pictures.shape import Shape, Tiling
from narrows.data.rows import ArrayRows
from narrows.errors import CodecFileError, DataError
from narrows.training.loop import LossParts, TrainConfig, TrainerCallbacks, TrainResult, train
from narrows.training.optimisers import Adam
from narrows.training.schedules import OneCycle

if TYPE_CHECKING:
    from narrows.codec.columns.form import Schema
    from narrows.codec.columns.layout import ColumnBatch, Layout

__all__ = ["PictureEngine", "whole_numbers"]

BLOCK_VALUES = 4_000_000
"""Values in a block: enough pictures in step for numpy to be busy, few enough for memory and random access."""
LEARNING_RATE = 0.004
STEP_VALUES = 50_000
"""Values in a training step: 64 pictures of 28 x 28."""
HELD_OUT_VALUES = 800_000
TRIAL_FRACTION = 0.05
TRIAL_SECONDS = 40.0
PASSES = 40
STEPS_A_PASS = 20

# Raw bytes from which a width pays for itself, and the widths: hidden, row, place, palette.
_WIDTHS = [(3_000_000, (48, 64, 8, 24)), (600_000, (40, 40, 6, 16)), (120_000, (24, 24, 4, 12)), (0, (12, 12, 2, 6))]


def fit_network(
    tiles: np.ndarray, shape: Shape, *, max_seconds: float, seed: int, tell: Callable[[dict[str, Any]], None] | None
) -> tuple[dict[str, np.ndarray], bool, list[dict[str, Any]]]:
    """Train, after a short trial of the two ways to code a value: as it is, or as a difference.

    Returns whole-number weights, whether differences were better, and the records of the training.
    """
    order = np.random.default_rng(seed).permutation(len(tiles))
    held_out = min(len(tiles) // 10, max(1, HELD_OUT_VALUES // (shape.height * shape.values)))
    check, rest = tiles[order[:held_out]], tiles[order[held_out:]]
    if not len(rest):
        rest = tiles if len(tiles) else np.zeros((1, shape.height, shape.width, shape.channels), dtype=np.uint8)
    trial = min(TRIAL_SECONDS, TRIAL_FRACTION * max_seconds)
    costs = {}
    for differences in (False, True):
        result = _train(_network(rest, shape, differences, seed), rest, check, trial, seed, None, TRIAL_FRACTION)
        if result.stopped == "interrupted":
            raise KeyboardInterrupt
        record = result.history[-1] if result.history else {}
        costs[differences] = float(record.get("val_loss", record.get("loss", math.inf)))
    differences = costs[True] < costs[False]
    net = _network(rest, shape, differences, seed)
    result = _train(net, rest, check, max_seconds - 2 * trial, seed, tell)
    if result.stopped == "interrupted":
        warnings.warn("the fit was interrupted; the codec has the best weights so far", stacklevel=2)
    if result.best_values.numel():
        torch.nn.utils.vector_to_parameters(result.best_values, net.parameters())
    return whole_numbers(net), differences, [_short(record, shape) for record in result.history]


def _short(record: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Keep of a record what is worth its bytes in the codec's file: cost in bits per value, on held-out pictures."""
    cost = float(record.get("val_loss", record.get("loss", math.nan))) / (shape.height * shape.values * math.log(2))
    return {"step": record["step"], "seconds": round(record["seconds"], 1), "bits_per_value": round(cost, 4)}


def _network(rest: np.ndarray, shape: Shape, differences: bool, seed: int) -> PictureNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hidden, row, place, palette = next(widths for size, widths in _WIDTHS if rest.size >= size)
        return PictureNet(shape, hidden=hidden, row=row, place=place, palette=palette, differences=differences)


def _train(
    net: PictureNet,
    rest: np.ndarray,
    check: np.ndarray,
    seconds: float,
    seed: int,
    tell: Callable[[dict[str, Any]], None] | None,
    fraction: float = 1.0,
) -> TrainResult:
    """Train a network for a fraction of the usual steps, and no longer than some seconds."""
    objective, values = PictureObjective(net), net.shape.height * net.shape.values
    batch = max(1, min(STEP_VALUES // values, len(rest) // STEPS_A_PASS))
    held_out = torch.from_numpy(check)

    def evaluate() -> LossParts:
        with torch.no_grad():
            return LossParts.joined(objective(part, None) for part in held_out.split(16 * batch))

    def on_record(record: dict[str, Any]) -> None:
        if tell is not None:
            tell(_short(record, net.shape))

    steps = max(50, int(fraction * PASSES * len(rest)) // batch)
    config = TrainConfig(
        Adam(),
        OneCycle(),
        LEARNING_RATE,
        batch,
        steps=steps,
        evaluate_every=max(20, min(steps // 20, 500)),
        max_seconds=seconds,
        work=8 * values * net.hidden**2,
    )
    return train(
        net,
        ArrayRows(rest),
        objective,
        config,
        seed=seed,
        evaluate=evaluate if len(check) else None,
        callbacks=TrainerCallbacks(on_record=on_record),
    )


def whole_numbers(net: PictureNet) -> dict[str, np.ndarray]:
    """Return weights in 1/64 as int8, biases in 1/4096 as int16."""
    found = {}
    for name, value in net.rounded().items():
        steps, kind = (STEP, np.int8) if is_weight(name) else (STEP * STEP, np.int16)
        found[name] = (value.detach().cpu().numpy() * steps).round().astype(kind)
    return found


class PictureEngine(Engine):
    """What a codec knows of pictures of one shape: whole-number weights, and how the training went.

    Values may be coded as differences from what the neighbours let expect.
    """

    kind = "pictures"

    def __init__(
        self,
        shape: tuple[int, ...],
        tensors: dict[str, np.ndarray],
        *,
        differences: bool,
        history: list[dict[str, Any]] | None = None,
    ) -> None:
        self.shape, self.tensors, self.differences, self.history = tuple(shape), tensors, differences, history or []
        self.tiling = Tiling.of(self.shape)
        self.coder = PictureCoder(self.tiling.tile, tensors, differences=differences)
        self.rows_per_block = max(1, BLOCK_VALUES // self.tiling.values)

    @classmethod
    def fit(cls, batch: ColumnBatch, held_out: ColumnBatch, options: FitOptions) -> PictureEngine:  # noqa: ARG003
        """Train a network, of pictures cut into tiles where they are large."""
        return cls.fit_pictures(batch.parts[0], options)

    @classmethod
    def fit_pictures(cls, pictures: np.ndarray, options: FitOptions) -> PictureEngine:
        """Train on pictures, uint8 (n, height, width[, channels])."""
        shape = pictures.shape[1:]
        tiling = Tiling.of(shape)
        tensors, differences, history = fit_network(
            tiling.sample(pictures, options.seed),
            tiling.tile,
            max_seconds=options.max_seconds,
            seed=options.seed,
            tell=options.progress,
        )
        return cls(shape, tensors, differences=differences, history=history)

    def check(self, layout: Layout) -> None:
        """Refuse pictures of another shape, and what is none."""
        if layout.picture != self.shape:
            called = "a table" if layout.picture is None else f"pictures of {' × '.join(map(str, layout.picture))}"
            fitted = " × ".join(map(str, self.shape))
            raise DataError(f"the codec was fitted to pictures of {fitted}, and these are {called}")

    def encode(self, parts: list[np.ndarray], schema: Schema) -> tuple[bytes, int]:
        """Turn pictures into bytes."""
        pictures = np.ascontiguousarray(parts[0])
        plain = pictures.tobytes()
        return smallest_block(self.encode_pictures(pictures), zlib.crc32(plain), plain, len(plain))

    def decode(self, data: bytes, n_rows: int, schema: Schema) -> tuple[list[np.ndarray], int]:
        """Turn bytes into pictures."""
        is_code, rest = open_block(data, n_rows * self.tiling.values)
        if is_code:
            rest = self.decode_pictures(rest, n_rows).tobytes()
        return [np.frombuffer(rest, np.uint8).reshape(n_rows, *self.shape)], zlib.crc32(rest)

    def encode_pictures(self, pictures: np.ndarray) -> bytes:
        """Turn pictures into the model's code."""
        tiles, writer = self.tiling.cut(pictures), Writer()
        if len(tiles):
            self.coder.code(writer, tiles, len(tiles))
        return writer.finish()

    def decode_pictures(self, data: bytes, n_rows: int) -> np.ndarray:
        """Turn the model's code into the pictures it was made from; the bytes are taken to be whole."""
        tile, n = self.tiling.tile, n_rows * self.tiling.count
        tiles = np.zeros((0, tile.height, tile.width, tile.channels), dtype=np.uint8)
        if n:
            tiles = self.coder.code(Reader(data), None, n)
        return self.tiling.join(tiles, n_rows)

    def peers(self, batch: ColumnBatch) -> dict[str, int | None]:
        """Give the compressors all bytes, and those for pictures mosaics."""
        return evaluation.on_pictures(batch.parts[0])

    def to_state(self) -> State:
        """Return all of this as JSON values and arrays."""
        return {"shape": list(self.shape), "differences": self.differences}, dict(self.tensors)

    @classmethod
    def from_state(cls, options: dict[str, Any], arrays: dict[str, np.ndarray]) -> PictureEngine:
        """Rebuild an engine from its state."""
        shape = tuple(options["shape"])
        if len(shape) not in (2, 3) or not all(type(size) is int and 0 < size < 1 << 16 for size in shape):
            raise CodecFileError("the codec is for pictures that cannot be")
        differences = bool(options["differences"])
        with torch.device("meta"):  # shapes alone: a hostile file may claim any
            net = PictureNet(
                Tiling.of(shape).tile,
                hidden=len(arrays["second_b"]),
                row=arrays["row_b"].shape[1],
                place=arrays["place_w"].shape[1],
                palette=len(arrays["palette_b"]),
                differences=differences,
            )
        expected = {name: tuple(value.shape) for name, value in net.named_parameters()}
        if {name: array.shape for name, array in arrays.items()} != expected:
            raise CodecFileError("the weights of the codec's network have shapes that cannot be")
        return cls(shape, arrays, differences=differences)

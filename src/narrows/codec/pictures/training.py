"""Training the network of pictures, and rounding it to the whole numbers that go into the codec."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.codec.pictures.arithmetic import STEP
from narrows.codec.pictures.network import PictureNet, PictureObjective, is_weight
from narrows.data.rows import ArrayRows
from narrows.training.loop import TrainConfig, TrainerCallbacks, TrainResult, train
from narrows.training.objective import LossParts
from narrows.training.optimisers import Adam
from narrows.training.schedules import OneCycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from narrows.codec.pictures.shape import Shape

__all__ = ["fit_network", "whole_numbers"]

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

    Returns
    -------
    tensors, differences, history
        Whole-number weights; which way was better; the records of the training.
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

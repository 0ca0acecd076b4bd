"""Training the network of pictures, and rounding it to the whole numbers that go into the codec."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.codec.exact import STEP
from narrows.codec.pictures_network import PictureNet, PictureObjective, is_weight
from narrows.data.rows import ArrayRows
from narrows.training.loop import TrainConfig, TrainerCallbacks, TrainResult, train
from narrows.training.objective import LossParts
from narrows.training.optimisers import Adam
from narrows.training.schedules import OneCycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from narrows.codec.pictures_shape import Shape

__all__ = ["fit_network"]

LEARNING_RATE = 0.004
STEP_VALUES = 50_000
"""Values in a training step: 64 pictures of 28 x 28."""
HELD_OUT_VALUES = 800_000
TRIAL_SHARE = 0.05
TRIAL_SECONDS = 40.0
PASSES = 40
STEPS_A_PASS = 20

# Raw bytes from which a width pays for itself, and the widths: hidden, row, place, palette.
_WIDTHS = [(3_000_000, (48, 64, 8, 24)), (600_000, (40, 40, 6, 16)), (120_000, (24, 24, 4, 12)), (0, (12, 12, 2, 6))]


def fit_network(
    tiles: np.ndarray,
    shape: Shape,
    *,
    max_seconds: float,
    seed: int,
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[dict[str, np.ndarray], bool, list[dict[str, Any]]]:
    """Train, after a short trial of the two ways to tell a value: as it is, or as a difference.

    Returns
    -------
    tensors, differences, history
        Whole-number weights; which way was better; the records of the training.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(tiles))
    held_out = min(len(tiles) // 10, max(1, HELD_OUT_VALUES // (shape.height * shape.values)))
    check, rest = tiles[order[:held_out]], tiles[order[held_out:]]
    if not len(rest):
        rest = tiles if len(tiles) else np.zeros((1, shape.height, shape.width, shape.channels), dtype=np.uint8)
    trial = min(TRIAL_SECONDS, TRIAL_SHARE * max_seconds)
    costs = {}
    for differences in (False, True):
        _, outcome = _trained(rest, check, shape, differences, trial, seed, None, share=TRIAL_SHARE)
        if outcome.stopped == "interrupted":
            raise KeyboardInterrupt
        costs[differences] = _cost(outcome)
    differences = costs[True] < costs[False]
    net, outcome = _trained(rest, check, shape, differences, max_seconds - 2 * trial, seed, tell)
    if outcome.stopped == "interrupted":
        warnings.warn("the fit was interrupted; the codec has the best weights so far", stacklevel=2)
    if outcome.best_values.numel():
        _take(net, outcome.best_values)
    values = shape.height * shape.values * math.log(2)
    return whole_numbers(net), differences, [_short(record, values) for record in outcome.history]


def _cost(outcome: TrainResult) -> float:
    record = outcome.history[-1] if outcome.history else {}
    return float(record.get("val_loss", record.get("loss", math.inf)))


def _short(record: dict[str, Any], values: float) -> dict[str, Any]:
    """Keep of a record what is worth its bytes in the codec's file: cost in bits per value, on held-out pictures."""
    cost = float(record.get("val_loss", record.get("loss", math.nan)))
    return {"step": record["step"], "seconds": round(record["seconds"], 1), "bits_per_value": round(cost / values, 4)}


def _take(net: PictureNet, values: torch.Tensor) -> None:
    torch.nn.utils.vector_to_parameters(values, net.parameters())


def _trained(
    rest: np.ndarray,
    check: np.ndarray,
    shape: Shape,
    differences: bool,
    seconds: float,
    seed: int,
    tell: Callable[[dict[str, Any]], None] | None,
    share: float = 1.0,
) -> tuple[PictureNet, TrainResult]:
    """Train one network for a share of the usual steps, and no longer than some seconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = next(widths for size, widths in _WIDTHS if rest.size >= size)
        hidden, row, place, palette = widths
        net = PictureNet(shape, hidden=hidden, row=row, place=place, palette=palette, differences=differences)
    objective = PictureObjective(net)
    batch = max(1, min(STEP_VALUES // (shape.height * shape.values), len(rest) // STEPS_A_PASS))
    held_out = torch.from_numpy(check)

    def evaluate() -> LossParts:
        with torch.no_grad():
            return LossParts.joined(objective(part, None) for part in held_out.split(16 * batch))

    steps = max(50, int(share * PASSES * len(rest)) // batch)
    every = max(20, min(steps // 20, 500))
    plan = TrainConfig(
        Adam(),
        OneCycle(),
        LEARNING_RATE,
        batch,
        steps=steps,
        evaluate_every=every,
        max_seconds=seconds,
        work=8 * shape.height * shape.values * net.hidden**2,
    )
    values = shape.height * shape.values * math.log(2)

    def tell_record(record: dict[str, Any]) -> None:
        if tell is not None:
            tell(_short(record, values))

    outcome = train(
        net,
        ArrayRows(rest),
        objective,
        plan,
        seed=seed,
        evaluate=evaluate if len(check) else None,
        callbacks=TrainerCallbacks(on_record=tell_record),
    )
    return net, outcome


def whole_numbers(net: PictureNet) -> dict[str, np.ndarray]:
    """Return weights in 1/64 as int8, biases in 1/4096 as int16."""
    found = {}
    for name, value in net.rounded().items():
        steps, kind = (STEP, np.int8) if is_weight(name) else (STEP * STEP, np.int16)
        found[name] = (value.detach().cpu().numpy() * steps).round().astype(kind)
    return found

"""Options go to JSON and back; what makes no sense is refused in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import narrows
from narrows import Autoencoder
from narrows.corruption import Corruption, Gaussian, Masking, SaltAndPepper, Swap
from narrows.likelihoods import Likelihood
from narrows.networks import Dense, Network
from narrows.training.optimisers import Adam, Optimizer
from narrows.training.schedules import Schedule, Trapezoid

VALUES = [
    (Network, Dense((7, 5), activation="tanh", linear_path=False)),
    (Likelihood, narrows.likelihoods.Gaussian(bounds=(0.0, 2.0))),
    (Corruption, SaltAndPepper(0.1, low=-1.0)),
    (Corruption, Swap(0.2, levels=(2, 3))),
    (Optimizer, Adam(weight_decay=0.1)),
    (Schedule, Trapezoid(flat=0.5)),
]


@pytest.mark.parametrize(("family", "value"), VALUES)
def test_json_round_trip(family, value) -> None:
    assert family.from_json(json.loads(json.dumps(value.to_json()))) == value
    assert family.resolve(value) is value
    assert type(family.resolve(type(value).__name__)) is type(value)
    with pytest.raises(ValueError, match="no setting 'colour'"):
        family.from_json(value.to_json() | {"colour": 1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components must be a whole number of at least 1 or 'auto', got 0"),
        ({"n_components": 2.5}, "n_components must be a whole number"),
        ({"batch_size": -3}, "batch_size must be a whole number of at least 1"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0 or 'auto', got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be"),
        ({"validation_fraction": 1.0}, "validation_fraction must be a number of at least 0 and below 1"),
        ({"max_seconds": -1}, "max_seconds must be a number above 0 or None"),
        ({"patience": "never"}, "patience must be"),
        ({"missing": "drop"}, "missing must be one of 'error', 'mask'"),
        ({"network": 3}, "network must be a name or a value such as"),
        ({"network": (1, 2)}, "encoder must be a torch.nn.Module"),
        ({"likelihood": "poisson"}, "likelihood 'poisson' is unknown"),
        ({"corruption": 0.3}, "corruption must be a name or a value"),
        ({"device": "toaster"}, "device 'toaster' is not to be had"),
        ({"callbacks": [3]}, "callbacks must be functions"),
        ({"random_state": -1}, "random_state must be"),
    ],
)
def test_parameters_that_make_no_sense(options: dict, message: str, curved: np.ndarray) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Autoencoder(**options).fit(curved)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(()) and Dense((0,)), "hidden"),
        (lambda: Dense(activation="step"), "activation"),
        (lambda: Dense(code_activation="relu", linear_path=True), "linear_path"),
        (lambda: Dense(init="zeros"), "init"),
        (lambda: Gaussian(-1.0), "sigma"),
        (lambda: Masking(1.5), "p must"),
        (lambda: SaltAndPepper(0.1, low=2.0), "low"),
        (lambda: narrows.likelihoods.Gaussian(bounds=(1.0, 0.0)), "bounds"),
        (lambda: Adam(beta1=1.0), "beta1"),
        (lambda: Trapezoid(flat=1.0), "flat"),
    ],
)
def test_values_that_make_no_sense(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_numbers_of_numpy_become_python_s() -> None:
    network = Dense(hidden=tuple(np.arange(4, 0, -2)))
    assert network == Dense((4, 2))
    assert all(type(width) is int for width in network.hidden)
    assert type(Gaussian(np.float32(0.5)).sigma) is float
    assert type(json.loads(json.dumps(narrows.networks.Convolutional(blocks=np.int64(1)).to_json()))["blocks"]) is int


def test_corruptions_do_what_they_say() -> None:
    x = torch.full((400, 50), 0.5)
    generator = torch.Generator().manual_seed(0)
    noisy = Gaussian(0.2).apply(x, generator)
    assert float((noisy - x).std()) == pytest.approx(0.2, rel=0.05)
    assert float((noisy - x).mean()) == pytest.approx(0, abs=0.01)
    assert float((Masking(0.3).apply(x, generator) == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    spoilt = SaltAndPepper(0.4).apply(x, generator)
    assert float((spoilt == 0).float().mean()) == pytest.approx(0.2, abs=0.02)
    assert float((spoilt == 1).float().mean()) == pytest.approx(0.2, abs=0.02)
    assert bool((x == 0.5).all())


def test_swaps_keep_columns_and_blocks() -> None:
    generator = torch.Generator().manual_seed(0)
    numbers = torch.arange(600.0)[:, None] + 1000 * torch.arange(20.0)
    blocks = [torch.eye(size)[torch.randint(size, (600,), generator=generator)] for size in (2, 5)]
    x = torch.cat([numbers, *blocks], 1)
    kept = x.clone()
    for p in (0.0, 0.3, 1.0):
        swapped = Swap(p, levels=(2, 5)).apply(x, generator)
        # A row may also draw itself, one time in 600, and of a category another row often has the same.
        changed = (swapped != x).float()
        assert float(changed[:, :20].mean()) == pytest.approx(p * 599 / 600, abs=0.015)
        columns = swapped[:, :20]
        assert bool(((columns // 1000) == torch.arange(20.0)).all())
        for block in (swapped[:, 20:22], swapped[:, 22:]):
            assert bool((block.sum(1) == 1).all())
            assert bool(((block == 0) | (block == 1)).all())
        assert float(changed[:, 22:].amax(1).mean()) == pytest.approx(0.8 * p, abs=0.08)
    assert torch.equal(x, kept)
    alone = Swap(1.0).apply(x[:1], generator)
    assert torch.equal(alone, x[:1])
    first, second = (Swap(0.3).apply(x, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)


def test_importing_narrows_is_light() -> None:
    heavy = ["torch", "sklearn", "numpy", "scipy", "pandas", "polars", "pyarrow", "matplotlib", "typer", "rich"]
    code = f"import sys, narrows; print([m for m in {heavy!r} if m in sys.modules], len(dir(narrows)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("[] ")


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Oracle'"):
        _ = narrows.Oracle

"""Likelihoods with a noise of their own: what they cost, and what is drawn from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from conftest import quiet
from narrows import VariationalAutoencoder
from narrows.likelihoods import Bernoulli, DiscretisedLogistic, Gaussian
from narrows.networks import Dense

QUICK = {"max_epochs": 4, "random_state": 0}
SMALL = Dense((32,), linear_path=False)


def head_of(likelihood, X: np.ndarray):
    from narrows.data.moments import measure
    from narrows.data.rows import ArrayRows
    from narrows.likelihoods import Standardise

    moments = measure(ArrayRows(X))
    standardise = Standardise(moments.mean, moments.variance.sqrt().clamp_min(1e-3))
    return likelihood.head(standardise, moments, X.dtype), standardise


@pytest.mark.parametrize("components", [1, 3])
def test_a_discretised_logistic_spreads_one_over_its_values_and_draws_by_it(components: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 9, (200, 2)).astype(np.uint8)
    head, standardise = head_of(DiscretisedLogistic(components), X)
    output = torch.randn(1, head.n_outputs, generator=torch.Generator().manual_seed(0))
    every = torch.arange(9, dtype=torch.uint8).unsqueeze(1).expand(9, 2)
    chance = torch.exp(-head.nll(output.expand(9, -1), every, standardise(every)))
    np.testing.assert_allclose(chance.sum(0).numpy(), 1, atol=1e-4)
    drawn = head.sample(output.expand(40_000, -1), torch.Generator().manual_seed(0)).numpy()
    seen = np.stack([np.bincount(drawn[:, k].astype(int), minlength=9) for k in range(2)], 1) / 40_000
    np.testing.assert_allclose(seen, chance.numpy(), atol=0.015)


@pytest.mark.parametrize("variance", ["fixed", "common", "column", "value"])
def test_normal_noise_is_a_density_in_the_data_s_units(variance: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)) * [1, 10, 0.1] + 5
    head, standardise = head_of(Gaussian(variance=variance), X)
    head.init_variance(torch.tensor([0.5, 0.2, 0.1]))
    output = torch.randn(300, head.n_outputs, generator=torch.Generator().manual_seed(0))
    mean, spread = head.parameters_from(output.double())
    scale = standardise.scale64
    expected = stats.norm(
        (mean * scale + standardise.shift64).detach().numpy(), (spread.sqrt() * scale).detach().numpy()
    ).logpdf(X)
    rows = torch.from_numpy(X)
    with torch.no_grad():
        cost = head.nll(output.double(), rows, (rows - standardise.shift64) / scale)
    np.testing.assert_allclose(-cost.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_whole_numbers_leave_no_finer_noise_than_rounding() -> None:
    X = np.random.default_rng(0).integers(0, 3, (300, 4)).astype(float)
    X[:, 3] = 2.0
    head, standardise = head_of(Gaussian(variance="column"), X)
    np.testing.assert_allclose(head.floor.numpy()[:3], 1 / 12 / standardise.scale64.numpy()[:3] ** 2, rtol=1e-5)


def test_dynamic_binarisation_draws_by_the_shades() -> None:
    X = np.tile(np.array([0, 51, 128, 255], dtype=np.uint8), (50_000, 1))
    head, _ = head_of(Bernoulli(dynamic=True), X)
    drawn = head.binarize(torch.from_numpy(X), torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {0.0, 255.0}
    np.testing.assert_allclose(drawn.mean(0).numpy() / 255, np.array([0, 51, 128, 255]) / 255, atol=0.01)
    assert float(drawn[:, 0].max()) == 0
    assert float(drawn[:, 3].min()) == 255
    assert head.binarize(torch.from_numpy(X), None).dtype == torch.uint8


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (np.eye(20).repeat(4, 0), "Bernoulli"),
        (np.random.default_rng(0).uniform(size=(80, 5)), "Gaussian"),
        (np.random.default_rng(0).normal(size=(80, 5)), "Gaussian"),
    ],
)
def test_the_likelihood_goes_by_the_data(X: np.ndarray, expected: str) -> None:
    assert quiet(VariationalAutoencoder(2, **QUICK), X).plan_["likelihood"]["option"] == expected

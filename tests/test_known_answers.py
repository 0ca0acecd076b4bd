"""Fits whose right answer is known."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import narrows
from narrows import Autoencoder, NotBetterThanBaselineWarning
from narrows.likelihoods import Bernoulli, Gaussian
from narrows.networks import Dense, Modules


def pca_error(train: np.ndarray, test: np.ndarray, size: int) -> float:
    pca = PCA(size).fit(train)
    return float(((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean())


def error(model: Autoencoder, test: np.ndarray) -> float:
    return float(((model.reconstruct(test) - test) ** 2).mean())


def quiet(model: Autoencoder, X: np.ndarray) -> Autoencoder:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotBetterThanBaselineWarning)
        return model.fit(X)


def test_where_nothing_beats_pca_the_model_is_pca_and_says_so(plain: np.ndarray) -> None:
    model = Autoencoder(3, random_state=0)
    with pytest.warns(NotBetterThanBaselineWarning, match="PCA with 3 components rebuilds held-out rows"):
        model.fit(plain)
    assert model.stayed_linear_
    assert error(model, plain) == pytest.approx(pca_error(plain, plain, 3), rel=1e-4)
    codes, principal = model.transform(plain), PCA(3).fit_transform(plain)
    np.testing.assert_allclose(np.abs(codes), np.abs(principal), atol=1e-4)


def test_beats_pca_clearly_on_a_curved_surface(curved: np.ndarray) -> None:
    train, test = curved[:500], curved[500:]
    model = Autoencoder(2, random_state=0).fit(train)
    assert not model.stayed_linear_
    assert error(model, test) < 0.5 * pca_error(train, test, 2)
    assert model.baselines_["model"] < 0.5 * model.baselines_["pca"] < 0.5 * model.baselines_["mean"]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_units_do_not_matter(curved: np.ndarray, scale: float) -> None:
    train, test = curved[:500] * scale, curved[500:] * scale
    model = Autoencoder(2, random_state=0).fit(train)
    assert error(model, test) < 0.5 * pca_error(train, test, 2)


def test_standard_scaling_makes_columns_weigh_the_same(curved: np.ndarray) -> None:
    units = 10.0 ** np.arange(-5, 5)
    model = Autoencoder(2, scaling="standard", random_state=0).fit(curved * units + units)
    plain = Autoencoder(2, scaling="standard", random_state=0).fit(curved)
    np.testing.assert_allclose(
        model.reconstruction_error(curved * units + units), plain.reconstruction_error(curved), rtol=0.05, atol=1e-3
    )
    assert model.baselines_["mean"] == pytest.approx(1.0, rel=0.2)


@pytest.mark.parametrize("path", [True, False])
@pytest.mark.parametrize("size", [2, 8])
def test_a_linear_autoencoder_reaches_pca(path: bool, size: int) -> None:
    X = load_digits().data
    train, test = X[:1300], X[1300:]
    network = Dense(hidden=(), activation="identity", linear_path=path)
    model = Autoencoder(size, network=network, likelihood=Gaussian(bounds="none"), random_state=0, max_epochs=120)
    quiet(model, train)
    assert error(model, test) <= 1.02 * pca_error(train, test, size)
    assert error(model, train) >= 0.999 * pca_error(train, train, size)


def test_baselines_are_those_of_scikit_learn() -> None:
    X = load_digits().data
    held_out: list[np.ndarray] = []
    model = Autoencoder(8, max_epochs=1, validation_fraction=0.2, random_state=5)
    quiet(model, X)
    order = np.random.default_rng(5).permutation(len(X))
    held_out, train = X[np.sort(order[:359])], X[np.sort(order[359:])]
    assert model.baselines_["rows"] == 359
    assert model.baselines_["pca"] == pytest.approx(pca_error(train, held_out, 8), rel=1e-4)
    assert model.baselines_["mean"] == pytest.approx(((held_out - train.mean(0)) ** 2).mean(), rel=1e-4)
    assert model.baselines_["model"] == pytest.approx(error(model, held_out), rel=1e-4)


def test_bounded_columns_are_kept_within_their_bounds() -> None:
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(2000, 1))
    X = np.maximum(latent @ rng.normal(size=(1, 6)) + 0.1 * rng.normal(size=(2000, 6)), 0)
    bounded = quiet(Autoencoder(1, random_state=0), X)
    assert bounded.reconstruct(X).min() >= -1e-6
    free = quiet(Autoencoder(1, likelihood=Gaussian(bounds="none"), random_state=0), X)
    assert free.reconstruct(X).min() < -0.01
    assert error(bounded, X) <= 1.02 * error(free, X)


def test_bounded_squared_error_and_its_gradient() -> None:
    from narrows.likelihoods import GaussianOutput, Standardise

    head = GaussianOutput(Standardise(torch.zeros(1), torch.ones(1)), torch.zeros(1).double(), torch.ones(1).double())
    output = torch.tensor([[-1.0], [-1.0], [0.4], [2.0], [3.0]], requires_grad=True)
    target = torch.tensor([[0.0], [0.5], [0.1], [1.0], [0.2]])
    cost = head.nll_per_row(output, target, target)
    np.testing.assert_allclose(cost.detach(), [0, 0.25, 0.09, 0, 0.64], atol=1e-6)
    cost.sum().backward()
    np.testing.assert_allclose(output.grad[:, 0], [0, -1.0, 0.6, 0, 1.6], atol=1e-6)


def test_bernoulli_costs_cross_entropy_and_rebuilds_probabilities() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1500, 2)) @ rng.normal(size=(2, 12)) * 2
    X = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype("float32")
    model = quiet(Autoencoder(2, likelihood="bernoulli", random_state=0), X)
    p = np.clip(model.reconstruct(X).astype(float), 1e-9, 1 - 1e-9)
    entropy = -(X * np.log(p) + (1 - X) * np.log1p(-p)).mean(1)
    np.testing.assert_allclose(-model.score_samples(X), entropy, rtol=0.01, atol=1e-3)
    share = X.mean(0)
    alone = -(share * np.log(share) + (1 - share) * np.log(1 - share)).mean()
    assert entropy.mean() < 0.85 * alone
    with pytest.raises(narrows.DataError, match=r"needs values in 0\.\.1"):
        Autoencoder(2, likelihood=Bernoulli()).fit(X * 3)


def test_masked_values_are_filled_in_better_than_by_the_mean(curved: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    holes = rng.random(curved.shape) < 0.15
    X = np.where(holes, np.nan, curved)
    model = quiet(Autoencoder(3, missing="mask", random_state=0), X)
    filled = model.reconstruct(X)
    by_mean = ((curved - np.nanmean(X, 0)) ** 2)[holes].mean()
    assert ((filled - curved) ** 2)[holes].mean() < 0.8 * by_mean
    with pytest.raises(ValueError, match="NaN"):
        Autoencoder(2, missing="error").fit(X)


def test_modules_of_one_s_own(curved: np.ndarray, tmp_path) -> None:
    nn = torch.nn
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 2))
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 10))
    kept = encoder[0].weight.clone()
    model = Autoencoder(2, network=(encoder, decoder), random_state=0, max_epochs=60, learning_rate=1e-2)
    model.fit(curved)
    assert torch.equal(kept, encoder[0].weight)
    assert error(model, curved) < pca_error(curved, curved, 2)
    again = Autoencoder(2, network=Modules(encoder, decoder), random_state=0, max_epochs=60, learning_rate=1e-2)
    np.testing.assert_array_equal(again.fit(curved).transform(curved), model.transform(curved))
    model.save(tmp_path / "own.narrows")
    with pytest.raises(narrows.ModelFileError, match="modules of your own"):
        narrows.load(tmp_path / "own.narrows")
    loaded = narrows.load(tmp_path / "own.narrows", network=(encoder, decoder))
    np.testing.assert_array_equal(loaded.transform(curved), model.transform(curved))
    with pytest.raises(ValueError, match=r"n_components asks for \(2, 3\)"):
        Autoencoder(3, network=(encoder, decoder)).fit(curved)


@pytest.mark.parametrize("activation", ["silu", "relu", "gelu", "softplus"])
def test_layers_that_begin_as_pca_begin_as_pca(activation: str) -> None:
    X = load_digits().data[:600]
    network = Dense((40, 24), activation=activation, init="pca", linear_path=False)
    still = {"learning_rate": 1e-12, "max_epochs": 1, "early_stopping": False, "random_state": 0}
    model = quiet(
        narrows.VariationalAutoencoder(8, network=network, likelihood="gaussian", scaling="common", **still), X
    )
    codes = model.transform(X)
    principal = PCA(8).fit_transform(X)
    for number in range(8):
        assert abs(np.corrcoef(codes[:, number], principal[:, number])[0, 1]) > 0.5
    assert error(model, X) < 0.7 * float(((X - X.mean(0)) ** 2).mean())
    with pytest.raises(ValueError, match="lets pairs through"):
        Dense(init="pca", activation="tanh")

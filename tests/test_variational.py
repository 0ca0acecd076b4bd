"""The variational autoencoder: its losses and bounds, its code, files and refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_wine
from torch import nn

import narrows
from conftest import quiet
from narrows import NotBetterThanBaselineWarning, PosteriorCollapseWarning, VariationalAutoencoder
from narrows.likelihoods import Gaussian
from narrows.networks import Convolutional, Dense
from narrows.priors import kl_to_normal

QUICK = {"max_epochs": 4, "random_state": 0}
SMALL = Dense((32,), linear_path=False)


@pytest.fixture(scope="module")
def low_rank() -> np.ndarray:
    """Rows whose density is known: normal, three directions of signal in eight columns, and noise."""
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(3, 8))
    return rng.normal(size=(3000, 3)) @ slopes + 0.5 * rng.normal(size=(3000, 8)) + 4


# Losses


def test_kl_is_its_closed_form() -> None:
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=(40, 5)), rng.uniform(0.1, 2, size=(40, 5))
    ours = kl_to_normal(torch.from_numpy(mean), torch.from_numpy(np.log(std**2))).sum(1).numpy()
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(torch.from_numpy(mean), torch.from_numpy(std)),
        torch.distributions.Normal(torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)),
    ).sum(1)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12)


def test_the_bound_is_made_of_sums_over_features_and_over_the_code(of_binary, binary: np.ndarray) -> None:
    mean, std = of_binary.encode_distribution(binary)
    bound = of_binary.elbo(binary, n_samples=400)
    closed = 0.5 * (mean.astype(float) ** 2 + std.astype(float) ** 2 - 1 - 2 * np.log(std.astype(float))).sum(1)
    np.testing.assert_allclose(bound.kl, closed, rtol=1e-4)
    np.testing.assert_allclose(bound.total, bound.reconstruction - bound.kl)
    rng = np.random.default_rng(1)
    likelihoods = []
    for _ in range(400):
        codes = mean[:50] + std[:50] * rng.normal(size=(50, 6)).astype(np.float32)
        chance = of_binary.inverse_transform(codes).clip(1e-7, 1 - 1e-7)
        likelihoods.append(np.log(np.where(binary[:50] == 1, chance, 1 - chance)).sum(1))
    spread = np.std(likelihoods, 0).mean() / 20
    assert np.abs(np.mean(likelihoods, 0) - bound.reconstruction[:50]).mean() < 3 * spread


def test_history_tells_the_three_losses_and_they_add_up(of_binary) -> None:
    for record in of_binary.history_[1:]:
        total = record["reconstruction_loss"] + record["kl_loss"]
        assert record["total_loss"] == pytest.approx(total)
        assert record["val_total_loss"] == pytest.approx(record["val_reconstruction_loss"] + record["val_kl_loss"])
        assert 0 <= record["active_components"] <= 6
    # While the KL is being warmed up, less than the whole of it is minimised.
    assert of_binary.history_[1]["loss"] < of_binary.history_[1]["total_loss"]
    assert of_binary.baselines_["autoencoder"] < of_binary.baselines_["mean"]
    last = of_binary.history_[-1]
    assert last["loss"] == pytest.approx(last["total_loss"], rel=1e-4)


def test_callbacks_hear_of_the_fit_alone_and_portions_tell_the_same_losses(binary: np.ndarray) -> None:
    heard: list[dict] = []
    quiet(VariationalAutoencoder(4, network=SMALL, callbacks=[heard.append], **QUICK), binary)
    assert {record["run"] for record in heard} <= {"fit", "refit"}
    model = VariationalAutoencoder(4, network=SMALL, random_state=0).partial_fit(binary)
    record = model.history_[-1]
    assert record["total_loss"] == pytest.approx(record["reconstruction_loss"] + record["kl_loss"])


def test_the_baselines_are_what_they_are_elsewhere(binary: np.ndarray) -> None:
    # Equal rows would be held out together.
    binary = np.unique(binary, axis=0)
    model = quiet(VariationalAutoencoder(6, network=SMALL, validation_fraction=0.2, **QUICK), binary)
    n_held_out = round(0.2 * len(binary))
    order = np.random.default_rng(0).permutation(len(binary))
    held_out, train = binary[np.sort(order[:n_held_out])], binary[np.sort(order[n_held_out:])]
    chance = (train.sum(0) + 1.0) / (len(train) + 2)
    nats = -np.log(np.where(held_out == 1, chance, 1 - chance)).sum(1).mean()
    assert model.baselines_["rows"] == n_held_out
    assert model.baselines_["nats_per_row"]["independent"] == pytest.approx(nats, rel=1e-5)
    assert model.baselines_["bits_per_feature"]["independent"] == pytest.approx(nats / 64 / np.log(2), rel=1e-5)
    own = -model.elbo(held_out, n_samples=50).total.mean()
    assert model.baselines_["nats_per_row"]["model"] == pytest.approx(own, rel=0.02)
    error = ((model.reconstruct(held_out) - held_out) ** 2).mean()
    assert model.baselines_["model"] == pytest.approx(error, rel=1e-4)


def test_a_linear_model_of_normal_rows_finds_their_density(low_rank: np.ndarray) -> None:
    train, test = low_rank[:2000], low_rank[2000:]
    model = VariationalAutoencoder(
        3,
        network=Dense((), activation="identity"),
        likelihood=Gaussian(variance="common"),
        scaling="common",
        random_state=0,
        max_epochs=60,
        learning_rate=2e-3,
    ).fit(train)
    exact = stats.multivariate_normal(train.mean(0), np.cov(train.T)).logpdf(test)
    scale = stats.norm(train.mean(0), train.std(0)).logpdf(test).sum(1).mean()
    # As near to the best that there is as a twentieth of what dependence is worth.
    slack = 0.05 * (exact.mean() - scale)
    assert model.elbo(test, n_samples=20).total.mean() > exact.mean() - slack
    weighted = model.log_likelihood(test, 200)
    assert abs(weighted.mean() - exact.mean()) < slack
    assert np.corrcoef(weighted, exact)[0, 1] > 0.99
    ppca = -model.baselines_["nats_per_row"]["ppca"]
    assert abs(ppca - exact.mean()) < 4 * slack


def test_importance_weights_tighten_the_bound(of_binary, binary: np.ndarray) -> None:
    rows = binary[:300]
    single = of_binary.log_likelihood(rows, 1).mean()
    more = [of_binary.log_likelihood(rows, n).mean() for n in (10, 200)]
    assert single == pytest.approx(of_binary.elbo(rows, n_samples=1).total.mean(), abs=3)
    assert single < more[0] < more[1]


def test_bounds_and_codes_are_the_same_from_call_to_call_and_for_any_batch(of_binary, binary: np.ndarray) -> None:
    for method in (
        lambda X: of_binary.elbo(X).total,
        lambda X: of_binary.elbo(X, prior="mixture").total,
        lambda X: of_binary.log_likelihood(X, 5),
        lambda X: of_binary.encode_distribution(X)[1],
    ):
        whole = method(binary[:300])
        np.testing.assert_array_equal(method(binary[:300]), whole)
        np.testing.assert_array_equal(method(binary[37:38]), whole[37:38])
        np.testing.assert_array_equal(method(binary[299::-1]), whole[::-1])
    assert not np.array_equal(of_binary.elbo(binary[:9]).total, of_binary.elbo(binary[:9], random_state=1).total)


def test_the_noise_of_rows_is_normal_and_independent() -> None:
    from narrows.variational.bounds import row_keys, row_normals

    keys = row_keys(torch.arange(4000.0).unsqueeze(1))
    assert len(keys.unique()) == 4000
    first, second = (row_normals(keys, 0, draw, 3).double().numpy() for draw in (0, 1))
    other = row_normals(keys, 1, 0, 3).double().numpy()
    for values in (first, second, other):
        assert stats.kstest(values.ravel(), "norm").pvalue > 0.001
    together = np.column_stack([first, second, other])
    correlation = np.corrcoef(together.T) - np.eye(9)
    assert np.abs(correlation).max() < 5 / 4000**0.5


# Codes that are used, and those that are not


@pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
def test_a_collapsed_code_is_noticed_and_named() -> None:
    X = np.random.default_rng(0).normal(size=(600, 6))
    with pytest.warns(PosteriorCollapseWarning, match=r"only \d of the code's 6 numbers are used.*n_components=\d"):
        VariationalAutoencoder(6, beta=4, random_state=0, max_epochs=150).fit(X)


def test_free_bits_keep_numbers_in_use(binary: np.ndarray) -> None:
    def active(**options) -> int:
        model = VariationalAutoencoder(20, network=SMALL, beta=3, max_epochs=15, random_state=0, **options)
        return quiet(model, binary).n_active_components_

    assert active(free_bits=0.3) > active()


def test_beta_trades_kl_for_reconstruction(binary: np.ndarray) -> None:
    def bound(beta: float):
        return quiet(VariationalAutoencoder(8, network=SMALL, beta=beta, max_epochs=15, random_state=0), binary).elbo(
            binary
        )

    low, high = bound(0.2), bound(4.0)
    assert low.kl.mean() > 2 * high.kl.mean()
    assert low.reconstruction.mean() > high.reconstruction.mean()


def test_where_nothing_depends_on_anything_the_model_says_so(curved: np.ndarray) -> None:
    X = np.random.default_rng(0).normal(size=(300, 4))
    with pytest.warns((NotBetterThanBaselineWarning, PosteriorCollapseWarning)):
        VariationalAutoencoder(2, random_state=0).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        VariationalAutoencoder(2, random_state=0, max_epochs=20).fit(curved)


# The user's own modules


class TaughtEncoder(nn.Module):
    """As courses have it: two heads on one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.mean, self.log_variance = nn.Linear(64, 32), nn.Linear(32, 2), nn.Linear(32, 2)

    def forward(self, x):
        hidden = torch.relu(self.layer(x))
        return self.mean(hidden), self.log_variance(hidden)


def test_own_encoder_and_decoder(binary: np.ndarray, tmp_path) -> None:
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 64))
    network = (TaughtEncoder(), decoder)
    model = quiet(VariationalAutoencoder(2, network=network, scaling="none", max_epochs=40, random_state=0), binary)
    assert model.history_[-1]["total_loss"] < model.history_[1]["total_loss"]
    assert model.baselines_["bits_per_feature"]["model"] < model.baselines_["bits_per_feature"]["independent"]
    model.save(tmp_path / "own.narrows")
    loaded = narrows.load(tmp_path / "own.narrows", network=network)
    np.testing.assert_array_equal(loaded.transform(binary[:5]), model.transform(binary[:5]))
    with pytest.raises(ValueError, match=r"asks for \(2, 6\)"):
        VariationalAutoencoder(3, network=network, **QUICK).fit(binary)
    taught = nn.Sequential(*decoder, nn.Sigmoid())
    with pytest.raises(ValueError, match="the decoder ends in a sigmoid"):
        VariationalAutoencoder(2, network=(TaughtEncoder(), taught), **QUICK).fit(binary)


# Files and refusals


def test_a_file_holds_all_of_it(labelled, digits, tmp_path) -> None:
    labelled.save(tmp_path / "m.narrows")
    loaded = narrows.load(tmp_path / "m.narrows")
    for draw in (
        lambda model: model.sample(4, random_state=0),
        lambda model: model.sample(4, y=3, random_state=0),
        lambda model: model.sample(4, prior="normal", random_state=0),
        lambda model: model.elbo(digits.data[:20], prior="mixture").total,
    ):
        np.testing.assert_array_equal(draw(loaded), draw(labelled))
    assert loaded.n_active_components_ == labelled.n_active_components_
    assert loaded.plan_ == labelled.plan_
    described = narrows.describe(tmp_path / "m.narrows")
    assert described["class"] == "VariationalAutoencoder"


def test_missing_values_are_learnt_around() -> None:
    whole = load_wine().data
    X = whole.copy()
    gone = np.random.default_rng(0).random(X.shape) < 0.1
    X[gone] = np.nan
    model = quiet(VariationalAutoencoder(3, missing="mask", random_state=0, max_epochs=60), X)
    assert np.isfinite(model.elbo(X).total).all()
    assert np.isfinite(model.sample(20, random_state=0)).all()
    # What is not there is told from what is: better than by its column's mean.
    wrong = (model.reconstruct(X) - whole) / whole.std(0)
    mean = (np.nanmean(X, 0) - whole) / whole.std(0)
    assert (wrong[gone] ** 2).mean() < 0.9 * (mean[gone] ** 2).mean()


def test_a_file_is_read_as_a_stream(curved: np.ndarray, tmp_path) -> None:
    np.save(tmp_path / "rows.npy", curved)
    model = quiet(VariationalAutoencoder(2, random_state=0, max_epochs=20), tmp_path / "rows.npy")
    assert model.sample(3, random_state=0).shape == (3, 10)
    np.testing.assert_array_equal(model.elbo(tmp_path / "rows.npy").total, model.elbo(curved).total)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -1}, "beta"),
        ({"kl_warmup": 1.5}, "kl_warmup"),
        ({"free_bits": "many"}, "free_bits"),
        ({"prior": "vamp"}, "prior"),
        ({"likelihood": Gaussian(variance="none")}, "needs a density"),
        ({"network": Convolutional(skips=True), "image_shape": (2, 5)}, "network"),
        ({"conditional": True}, "labels"),
        ({"likelihood": "discretisedlogistic"}, "needs whole numbers of an integer type"),
        ({"likelihood": "bernoulli"}, "needs values in 0..1"),
    ],
)
def test_options_that_make_no_sense_are_refused(curved: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VariationalAutoencoder(2, **(QUICK | options)).fit(curved)


def test_what_cannot_be_drawn_is_refused(labelled, of_binary, binary: np.ndarray, digits) -> None:
    with pytest.raises(ValueError, match="label 11"):
        labelled.sample(2, y=11)
    with pytest.raises(ValueError, match="conditional=True"):
        labelled.elbo(digits.data[:3], y=[1, 2, 3])
    with pytest.raises(ValueError, match="prior"):
        of_binary.sample(2, prior="vamp")
    with pytest.raises(ValueError, match="n_samples"):
        of_binary.sample(-1)
    with pytest.raises(ValueError, match="component"):
        of_binary.traverse(binary[0], 6)
    with pytest.raises(ValueError, match=r"one row"):
        of_binary.interpolate(binary[0], binary[:3])
    with pytest.raises(ValueError, match="3 rows"):
        VariationalAutoencoder(1, **QUICK).fit(binary[:3], [1, 2])
    for gap in (None, np.nan):
        with pytest.raises(ValueError, match="row 1"):
            VariationalAutoencoder(1, **QUICK).fit(binary[:3], np.array(["a", gap, "b"], dtype=object))
    plain = quiet(VariationalAutoencoder(2, prior="normal", **QUICK), binary)
    with pytest.raises(ValueError, match="mixture"):
        plain.sample(2, prior="mixture")

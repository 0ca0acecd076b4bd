"""The variational autoencoder: known answers, what it draws, and what it refuses."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

import narrows
from narrows import NotBetterThanBaselineWarning, PosteriorCollapseWarning, VariationalAutoencoder
from narrows.elbo import KLWeight, kl_to_normal
from narrows.likelihoods import Bernoulli, DiscretisedLogistic, Gaussian
from narrows.networks import Convolutional, Dense

QUICK = {"max_epochs": 4, "random_state": 0}
SMALL = Dense((32,), linear_path=False)


def quiet(model: VariationalAutoencoder, *data) -> VariationalAutoencoder:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotBetterThanBaselineWarning)
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        return model.fit(*data)


@pytest.fixture(scope="module")
def digits():
    return load_digits()


@pytest.fixture(scope="module")
def binary(digits) -> np.ndarray:
    return (digits.data > 7).astype(np.float32)


@pytest.fixture(scope="module")
def of_binary(binary: np.ndarray) -> VariationalAutoencoder:
    return quiet(VariationalAutoencoder(6, network=Dense((64,)), max_epochs=30, random_state=0), binary)


@pytest.fixture(scope="module")
def labelled(digits) -> VariationalAutoencoder:
    return quiet(VariationalAutoencoder(8, max_epochs=25, random_state=0), digits.data, digits.target)


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
    model = quiet(VariationalAutoencoder(6, network=SMALL, validation_fraction=0.2, **QUICK), binary)
    order = np.random.default_rng(0).permutation(len(binary))
    held_out, train = binary[np.sort(order[:359])], binary[np.sort(order[359:])]
    chance = (train.sum(0) + 1.0) / (len(train) + 2)
    nats = -np.log(np.where(held_out == 1, chance, 1 - chance)).sum(1).mean()
    assert model.baselines_["rows"] == 359
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
    from narrows.variational.noise import row_keys, row_normals

    keys = row_keys(torch.arange(4000.0).unsqueeze(1))
    assert len(keys.unique()) == 4000
    first, second = (row_normals(keys, 0, draw, 3).double().numpy() for draw in (0, 1))
    other = row_normals(keys, 1, 0, 3).double().numpy()
    for values in (first, second, other):
        assert stats.kstest(values.ravel(), "norm").pvalue > 0.001
    together = np.column_stack([first, second, other])
    correlation = np.corrcoef(together.T) - np.eye(9)
    assert np.abs(correlation).max() < 5 / 4000**0.5


def test_warm_up_is_a_straight_line() -> None:
    weight = KLWeight(0.5, warmup=0.2)
    assert [weight.at(p) for p in (0.0, 0.1, 0.2, 0.9)] == pytest.approx([0, 0.25, 0.5, 0.5])
    assert KLWeight(3.0).at(0.0) == 3.0


# Likelihoods


def head_of(likelihood, X: np.ndarray):
    from narrows.networks import Standardise
    from narrows.training.moments import measure
    from narrows.training.rows import ArrayRows

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
    chance = torch.exp(-head.cost(output.expand(9, -1), every, standardise(every)))
    np.testing.assert_allclose(chance.sum(0).numpy(), 1, atol=1e-4)
    drawn = head.sample(output.expand(40_000, -1), torch.Generator().manual_seed(0)).numpy()
    seen = np.stack([np.bincount(drawn[:, k].astype(int), minlength=9) for k in range(2)], 1) / 40_000
    np.testing.assert_allclose(seen, chance.numpy(), atol=0.015)


@pytest.mark.parametrize("variance", ["fixed", "common", "column", "value"])
def test_normal_noise_is_a_density_in_the_data_s_units(variance: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)) * [1, 10, 0.1] + 5
    head, standardise = head_of(Gaussian(variance=variance), X)
    head.begin(torch.tensor([0.5, 0.2, 0.1]))
    output = torch.randn(300, head.n_outputs, generator=torch.Generator().manual_seed(0))
    mean, spread = head.parameters_of(output.double())
    scale = standardise.scale64
    expected = stats.norm(
        (mean * scale + standardise.shift64).detach().numpy(), (spread.sqrt() * scale).detach().numpy()
    ).logpdf(X)
    rows = torch.from_numpy(X)
    with torch.no_grad():
        cost = head.cost(output.double(), rows, (rows - standardise.shift64) / scale)
    np.testing.assert_allclose(-cost.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_whole_numbers_leave_no_finer_noise_than_rounding() -> None:
    X = np.random.default_rng(0).integers(0, 3, (300, 4)).astype(float)
    X[:, 3] = 2.0
    head, standardise = head_of(Gaussian(variance="column"), X)
    np.testing.assert_allclose(head.floor.numpy()[:3], 1 / 12 / standardise.scale64.numpy()[:3] ** 2, rtol=1e-5)


def test_dynamic_binarisation_draws_by_the_shades() -> None:
    X = np.tile(np.array([0, 51, 128, 255], dtype=np.uint8), (50_000, 1))
    head, _ = head_of(Bernoulli(dynamic=True), X)
    drawn = head.observe(torch.from_numpy(X), torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {0.0, 255.0}
    np.testing.assert_allclose(drawn.mean(0).numpy() / 255, np.array([0, 51, 128, 255]) / 255, atol=0.01)
    assert float(drawn[:, 0].max()) == 0
    assert float(drawn[:, 3].min()) == 255
    assert head.observe(torch.from_numpy(X), None).dtype == torch.uint8


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


def test_better_than_independent_features_or_a_warning() -> None:
    X = np.random.default_rng(0).normal(size=(300, 4))
    with pytest.warns((NotBetterThanBaselineWarning, PosteriorCollapseWarning)):
        VariationalAutoencoder(2, random_state=0).fit(X)


# New rows


def test_the_mixture_is_nearer_to_the_codes_than_the_normal_prior(of_binary, binary: np.ndarray) -> None:
    assert of_binary.elbo(binary, prior="mixture").total.mean() > of_binary.elbo(binary).total.mean()
    codes = of_binary.sample_codes(4000, random_state=0)
    assert codes.shape == (4000, 6)
    normal = of_binary.sample_codes(4000, prior="normal", random_state=0)
    np.testing.assert_allclose(normal.mean(0), 0, atol=0.1)
    np.testing.assert_allclose(normal.std(0), 1, atol=0.1)


def test_a_prior_s_density_is_that_of_scikit_learn() -> None:
    from sklearn.mixture import GaussianMixture

    from narrows.priors import CodePrior, Mixture

    codes = np.random.default_rng(0).normal(size=(900, 3)) @ np.diag([1, 2, 3]) + np.repeat([[0], [4], [9]], 300, 0)
    mixture = GaussianMixture(3, random_state=0).fit(codes)
    prior = CodePrior.of(mixture.weights_, mixture.means_, mixture.covariances_)
    expected = mixture.score_samples(codes)
    np.testing.assert_allclose(prior.log_density(torch.from_numpy(codes)).numpy(), expected, rtol=1e-6)
    fitted = Mixture(3).fit(codes, None, 0)
    assert float(fitted.log_density(torch.from_numpy(codes)).mean()) == pytest.approx(expected.mean(), rel=0.02)
    drawn, labels = fitted.draw(5000, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(drawn.mean(0).numpy(), codes.mean(0), atol=0.3)
    assert (labels == -1).all()


def test_samples_are_of_the_data_s_type_and_reproducible(of_binary, binary: np.ndarray) -> None:
    rows = of_binary.sample(200, random_state=0)
    assert rows.dtype == np.float32
    assert set(np.unique(rows)) == {0.0, 1.0}
    np.testing.assert_array_equal(rows, of_binary.sample(200, random_state=0))
    assert not np.array_equal(rows, of_binary.sample(200, random_state=1))
    means = of_binary.sample(200, noise=False, random_state=0)
    assert ((means > 0) & (means < 1)).mean() > 0.5
    np.testing.assert_allclose(rows.mean(0), binary.mean(0), atol=0.15)
    assert of_binary.sample(0).shape == (0, 64)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_tables_come_back_as_tables(library: str) -> None:
    frames = pytest.importorskip(library)
    rng = np.random.default_rng(0)
    latent = rng.normal(size=500)
    columns = {
        "age": (40 + 10 * latent + rng.normal(size=500)).round().astype(int).clip(18, 80),
        "income": np.exp(latent + 0.1 * rng.normal(size=500)),
        "member": latent + 0.3 * rng.normal(size=500) > 0.5,
        "visits": np.maximum(0, 3 * latent).round().astype(np.int16),
    }
    frame = frames.DataFrame(columns)
    model = quiet(VariationalAutoencoder(2, random_state=0, max_epochs=60), frame)
    drawn = model.sample(2000, random_state=0)
    assert type(drawn) is type(frame)
    assert list(drawn.columns) == list(frame.columns)
    assert list(drawn.dtypes) == list(frame.dtypes)
    for name, values in columns.items():
        ours = drawn[name].to_numpy()
        assert ours.min() >= values.min()
        assert ours.max() <= values.max()
        assert stats.ks_2samp(ours.astype(float), values.astype(float)).statistic < 0.06
        # And columns go together as they do in the data, which columns drawn one by one do not.
        truth = stats.spearmanr(values, columns["age"])[0]
        assert abs(stats.spearmanr(ours, drawn["age"].to_numpy())[0] - truth) < 0.25
    assert set(np.unique(drawn["visits"].to_numpy())) <= set(np.unique(columns["visits"]))


def test_images_come_back_as_images(digits) -> None:
    images = digits.images.astype(np.uint8)
    model = quiet(
        VariationalAutoencoder(4, network=Convolutional((4, 8), blocks=1), max_epochs=2, random_state=0), images
    )
    drawn = model.sample(3, random_state=0)
    assert drawn.shape == (3, 8, 8)
    assert drawn.dtype == np.uint8
    assert model.interpolate(images[0], images[1], 4).shape == (4, 8, 8)
    assert model.traverse(images[0], 1, [-1, 0, 1]).shape == (3, 8, 8)
    assert model.reconstruct(images[:2]).shape == (2, 8, 8)


def test_interpolation_goes_from_one_row_to_the_other(of_binary, binary: np.ndarray) -> None:
    ends = of_binary.reconstruct(binary[:2])
    for method in ("linear", "spherical"):
        path = of_binary.interpolate(binary[0], binary[1], 7, method=method)
        assert path.shape == (7, 64)
        np.testing.assert_allclose(path[[0, -1]], ends, atol=1e-5)
        steps = np.abs(np.diff(path, axis=0)).sum(1)
        assert steps.max() < np.abs(ends[1] - ends[0]).sum() * 1.01
    assert not np.allclose(
        of_binary.interpolate(binary[0], binary[1], 7),
        of_binary.interpolate(binary[0], binary[1], 7, method="spherical"),
    )


def test_the_great_circle_keeps_its_length() -> None:
    from narrows.variational.paths import spherical

    share = np.linspace(0, 1, 9)[:, None]
    path = spherical(np.array([2.0, 0, 0]), np.array([0, 0, 2.0]), share)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 2)
    for first, last in (([1.0, 0], [-1.0, 0]), ([1.0, 0], [3.0, 0]), ([0.0, 0], [1.0, 1]), ([1.0], [-2.0])):
        path = spherical(np.array(first), np.array(last), share)
        assert np.isfinite(path).all()
        np.testing.assert_allclose(path[[0, -1]], [first, last])


def test_traversal_moves_one_number_of_the_code(of_binary, binary: np.ndarray) -> None:
    code = of_binary.transform(binary[:1])
    moved = of_binary.traverse(binary[0], 2, [code[0, 2], code[0, 2] + 2])
    np.testing.assert_allclose(moved[0], of_binary.reconstruct(binary[:1])[0], atol=1e-5)
    assert not np.allclose(moved[0], moved[1])
    assert of_binary.traverse(binary[0], 0).shape == (7, 64)


# Labels


def test_labels_shape_what_is_sampled_and_leave_the_codes_alone(labelled, digits) -> None:
    judge = LogisticRegression(max_iter=3000).fit(digits.data / 16, digits.target)
    for label in (0, 7):
        rows = labelled.sample(100, y=label, noise=False, random_state=0)
        assert (judge.predict(rows / 16) == label).mean() > 0.8
    bare = quiet(VariationalAutoencoder(8, max_epochs=25, random_state=0), digits.data)
    np.testing.assert_array_equal(bare.transform(digits.data[:50]), labelled.transform(digits.data[:50]))
    np.testing.assert_array_equal(labelled.classes_, np.arange(10))
    shares = np.bincount(judge.predict(labelled.sample(1000, random_state=0) / 16), minlength=10) / 1000
    assert shares.min() > 0.03


def test_rare_labels_are_learnt_and_stay_rare(monkeypatch) -> None:
    monkeypatch.setattr("narrows.variational.fitting.MOST_CODES", 300)
    rng = np.random.default_rng(0)
    labels = np.array(["common"] * 2990 + ["rare"] * 10)
    X = rng.normal(size=(3000, 4)) + np.where(labels == "rare", 8.0, 0.0)[:, None]
    model = quiet(VariationalAutoencoder(2, max_epochs=20, random_state=0), X, labels)
    assert (
        model.sample(50, y="rare", random_state=0).mean() > 4 > 1 > model.sample(50, y="common", random_state=0).mean()
    )
    shares = [float(model._mixture.weights[model._mixture.labels == k].sum()) for k in (0, 1)]
    assert shares == pytest.approx([2990 / 3000, 10 / 3000])


def test_a_conditional_decoder_is_told_the_label(digits, tmp_path) -> None:
    names = np.array([f"digit {k}" for k in digits.target])
    model = quiet(VariationalAutoencoder(4, conditional=True, max_epochs=30, random_state=0), digits.data, names)
    judge = LogisticRegression(max_iter=3000).fit(digits.data / 16, digits.target)
    for prior in ("normal", "mixture"):
        rows = model.sample(100, y="digit 3", prior=prior, noise=False, random_state=0)
        assert (judge.predict(rows / 16) == 3).mean() > 0.6
    known, unknown = model.elbo(digits.data, y=names).total.mean(), model.elbo(digits.data).total.mean()
    assert known > unknown
    swapped = model.reconstruct(digits.data[:100], y="digit 8")
    assert (judge.predict(swapped / 16) == 8).mean() > (
        judge.predict(model.reconstruct(digits.data[:100]) / 16) == 8
    ).mean()
    model.save(tmp_path / "m.narrows")
    loaded = narrows.load(tmp_path / "m.narrows")
    np.testing.assert_array_equal(
        loaded.sample(5, y="digit 3", random_state=0), model.sample(5, y="digit 3", random_state=0)
    )
    np.testing.assert_array_equal(
        loaded.elbo(digits.data[:9], y=names[:9]).total, model.elbo(digits.data[:9], y=names[:9]).total
    )


def test_targets_that_are_no_classes_are_ignored(curved: np.ndarray) -> None:
    targets = np.random.default_rng(0).normal(size=len(curved))
    model = quiet(VariationalAutoencoder(2, **QUICK), curved, targets)
    assert not hasattr(model, "classes_")
    with pytest.raises(ValueError, match="knows no labels"):
        model.sample(2, y=1)


def test_in_a_pipeline_the_codes_serve_a_classifier(digits) -> None:
    pipeline = make_pipeline(
        VariationalAutoencoder(8, max_epochs=25, random_state=0), LogisticRegression(max_iter=3000)
    )
    pipeline.fit(digits.data[:1400], digits.target[:1400])
    assert pipeline.score(digits.data[1400:], digits.target[1400:]) > 0.7


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
    with pytest.raises(narrows.ModelFileError, match="torch modules of your own"):
        narrows.load(tmp_path / "own.narrows")
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
    X = load_wine().data.copy()
    X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    model = quiet(VariationalAutoencoder(3, missing="mask", random_state=0, max_epochs=30), X)
    assert np.isfinite(model.elbo(X).total).all()
    assert np.isfinite(model.sample(20, random_state=0)).all()


def test_a_file_is_read_as_a_stream(curved: np.ndarray, tmp_path) -> None:
    np.save(tmp_path / "rows.npy", curved)
    model = quiet(VariationalAutoencoder(2, random_state=0, max_epochs=20), tmp_path / "rows.npy")
    assert model.sample(3, random_state=0).shape == (3, 10)
    np.testing.assert_array_equal(model.elbo(tmp_path / "rows.npy").total, model.elbo(curved).total)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -1}, "beta must be a number of at least 0"),
        ({"kl_warmup": 1.5}, "kl_warmup must be a number of at least 0 and below 1"),
        ({"free_bits": "many"}, "free_bits must be a number"),
        ({"prior": "vamp"}, "prior 'vamp' is unknown; known are mixture, normal"),
        ({"likelihood": Gaussian(variance="none")}, "needs a density"),
        ({"network": Convolutional(skips=True), "image_shape": (2, 5)}, "needs a network with a code"),
        ({"conditional": True}, "conditional=True needs labels"),
        ({"likelihood": "discretisedlogistic"}, "needs whole numbers of an integer type"),
        ({"likelihood": "bernoulli"}, "needs values in 0..1"),
    ],
)
def test_options_that_make_no_sense_are_refused(curved: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VariationalAutoencoder(2, **(QUICK | options)).fit(curved)


def test_what_cannot_be_drawn_is_refused(labelled, of_binary, binary: np.ndarray, digits) -> None:
    with pytest.raises(ValueError, match="label 11 was not among those of the fit: 0, 1, 2"):
        labelled.sample(2, y=11)
    with pytest.raises(ValueError, match="told of no labels: fit it with conditional=True"):
        labelled.elbo(digits.data[:3], y=[1, 2, 3])
    with pytest.raises(ValueError, match="prior must be 'normal' or 'mixture'"):
        of_binary.sample(2, prior="vamp")
    with pytest.raises(ValueError, match="n_samples must be a whole number"):
        of_binary.sample(-1)
    with pytest.raises(ValueError, match="component must be a whole number from 0 to 5"):
        of_binary.traverse(binary[0], 6)
    with pytest.raises(ValueError, match=r"one row of shape \(64,\) is needed"):
        of_binary.interpolate(binary[0], binary[:3])
    with pytest.raises(ValueError, match="one label for each of 3 rows"):
        VariationalAutoencoder(1, **QUICK).fit(binary[:3], [1, 2])
    plain = quiet(VariationalAutoencoder(2, prior="normal", **QUICK), binary)
    with pytest.raises(ValueError, match="has no mixture"):
        plain.sample(2, prior="mixture")


# Frames with categories


@pytest.fixture(scope="module")
def people():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    latent = rng.normal(size=800)
    return pandas.DataFrame(
        {
            "city": np.where(latent > 0.7, "Rome", np.where(latent < -0.5, "Oslo", "Bern")),
            "age": (40 + 10 * latent + rng.normal(size=800)).round().astype(int),
            "sex": pandas.Categorical(rng.choice(["f", "m"], 800)),
            "paid": latent + 0.3 * rng.normal(size=800) > 0,
        }
    )


def test_categories_come_back_with_what_goes_along_with_them(people, tmp_path) -> None:
    model = quiet(VariationalAutoencoder(2, random_state=0, max_epochs=60), people)
    assert model.n_features_in_ == 4
    assert model.plan_["likelihood"]["option"] == "Mixed"
    drawn = model.sample(2000, random_state=0)
    assert list(drawn.columns) == list(people.columns)
    assert [str(kind) for kind in drawn.dtypes] == [str(kind) for kind in people.dtypes]
    for name in ("city", "sex", "paid"):
        shares = people[name].value_counts(normalize=True)
        np.testing.assert_allclose(drawn[name].value_counts(normalize=True).reindex(shares.index), shares, atol=0.1)
    paid = drawn.groupby("city")["paid"].mean()
    assert paid["Oslo"] < 0.2 < 0.8 < paid["Rome"]
    assert model.baselines_["bits_per_feature"]["model"] < model.baselines_["bits_per_feature"]["independent"]
    model.save(tmp_path / "m.narrows")
    loaded = narrows.load(tmp_path / "m.narrows")
    assert loaded.sample(50, random_state=1).equals(model.sample(50, random_state=1))
    rebuilt = loaded.reconstruct(people)
    assert (rebuilt["city"] == people["city"]).mean() > 0.7
    assert model.reconstruction_error(people, per_feature=True).shape == people.shape
    assert list(model.interpolate(people.iloc[[0]], people.iloc[[1]], 3).columns) == list(people.columns)
    np.testing.assert_array_equal(model.transform(people.iloc[5:6]), model.transform(people)[5:6])


def test_the_chances_of_categories_add_up_to_one_and_are_drawn_by(people) -> None:
    model = quiet(VariationalAutoencoder(2, **QUICK), people)
    head = model._model.head
    output = torch.randn(1, head.n_outputs, generator=torch.Generator().manual_seed(0)).expand(20_000, -1)
    with torch.no_grad():
        chances = head.mean(output)[0, head.n_numbers :]
        assert [float(part.sum()) for part in chances.split(head.levels)] == pytest.approx([1, 1], abs=1e-5)
        drawn = head.sample(output, torch.Generator().manual_seed(0))[:, head.n_numbers :]
    np.testing.assert_allclose(drawn.mean(0).numpy(), chances.numpy(), atol=0.02)
    assert all((part.sum(1) == 1).all() for part in drawn.split(head.levels, 1))


def test_frames_with_categories_in_polars(people) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(people)
    drawn = quiet(VariationalAutoencoder(2, **QUICK), frame).sample(20, random_state=0)
    assert drawn.schema == frame.schema


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(city="Paris"), "column 'city' has the category 'Paris', which was not seen in the fit"),
        (lambda f: f.drop(columns="age"), "the frame lacks the column 'age' of the fit"),
        (lambda f: f.to_numpy(), "give a frame with the same columns"),
        (lambda f: f.assign(age=np.nan), "column 'age' has missing values"),
    ],
)
def test_other_frames_are_refused(people, change, message: str) -> None:
    model = quiet(VariationalAutoencoder(2, **QUICK), people)
    with pytest.raises(ValueError, match=message):
        model.transform(change(people))


def test_frames_that_cannot_be_learnt_are_refused(people) -> None:
    names = people.assign(name=[f"person {k}" for k in range(len(people))])
    with pytest.raises(narrows.DataError, match="column 'name' has 800 different values"):
        VariationalAutoencoder(2, **QUICK).fit(names)
    with pytest.raises(narrows.DataError, match="takes likelihood='auto' or 'gaussian'"):
        VariationalAutoencoder(2, likelihood="bernoulli", **QUICK).fit(people)
    holes = people.assign(city=people["city"].where(people["age"] > 35))
    with pytest.raises(narrows.DataError, match="column 'city' has missing values"):
        VariationalAutoencoder(2, **QUICK).fit(holes)
    model = quiet(VariationalAutoencoder(2, missing="mask", **QUICK), holes)
    assert np.isfinite(model.elbo(holes).total).all()

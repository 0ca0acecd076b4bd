"""New rows: from which codes, in which form, with which label."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression

import narrows
from conftest import quiet
from narrows import VariationalAutoencoder
from narrows.networks import Convolutional, Dense

QUICK = {"max_epochs": 4, "random_state": 0}
SMALL = Dense((32,), linear_path=False)


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
    rebuilt = model.reconstruct(images)
    assert rebuilt.shape == images.shape
    assert ((rebuilt - images) ** 2).mean() < 0.8 * ((images - images.mean(0)) ** 2).mean()


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
    from narrows.variational.generation import slerp

    share = np.linspace(0, 1, 9)[:, None]
    path = slerp(np.array([2.0, 0, 0]), np.array([0, 0, 2.0]), share)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 2)
    for first, last in (([1.0, 0], [-1.0, 0]), ([1.0, 0], [3.0, 0]), ([0.0, 0], [1.0, 1]), ([1.0], [-2.0])):
        path = slerp(np.array(first), np.array(last), share)
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
    monkeypatch.setattr("narrows.variational.sampling.MAX_CODES", 300)
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
        (lambda f: f.assign(city="Paris"), "column 'city'.*'Paris'"),
        (lambda f: f.drop(columns="age"), "'age'"),
        (lambda f: f.to_numpy(), "columns"),
        (lambda f: f.assign(age="old"), "column 'age'"),
    ],
)
def test_other_frames_are_refused(people, change, message: str) -> None:
    model = quiet(VariationalAutoencoder(2, **QUICK), people)
    with pytest.raises(ValueError, match=message):
        model.transform(change(people))


def test_frames_that_cannot_be_learnt_are_refused(people) -> None:
    names = people.assign(name=[f"person {k}" for k in range(len(people))])
    with pytest.warns(narrows.ColumnsLeftOutWarning, match="name"):
        assert "name" not in VariationalAutoencoder(2, max_epochs=1).fit(names).sample(3).columns
    with pytest.raises(narrows.DataError, match="takes likelihood='auto' or 'gaussian'"):
        VariationalAutoencoder(2, likelihood="bernoulli", **QUICK).fit(people)
    holes = people.assign(city=people["city"].where(people["age"] > 35))
    with pytest.raises(narrows.DataError, match="column 'city' has missing values"):
        VariationalAutoencoder(2, missing="error", **QUICK).fit(holes)
    model = quiet(VariationalAutoencoder(2, **QUICK), holes)
    assert np.isfinite(model.elbo(holes).total).all()

"""The lab on variational autoencoders: its numbers against the simple answers, and what samples are measured by."""

from __future__ import annotations

import numpy as np
import pytest

from narrows import datasets
from narrows.labs import run_lab
from narrows.labs.images import LinearGenerator, SampleJudge, frechet_distance, load_images

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def result():
    return run_lab("vae", n_components=4, max_epochs=6)


@pytest.fixture(scope="module")
def digits():
    data = datasets.load("digits")
    return data.train / 16, data.test / 16, data.train_labels, data.test_labels


def test_the_simple_answers_are_what_they_are_elsewhere(result, digits):
    from scipy.stats import entropy
    from sklearn.decomposition import PCA

    train, test, *_ = digits
    for key, size in (("pca_2", 2), ("pca", 4)):
        pca = PCA(size).fit(train)
        expected = np.square(pca.inverse_transform(pca.transform(test)) - test).mean()
        assert result[key]["test_mse"] == pytest.approx(expected, rel=1e-3)
    assert result["mean"]["test_mse"] == pytest.approx(np.square(train.mean(0) - test).mean(), rel=1e-4)
    assert result.facts["floor"] == pytest.approx(entropy(np.stack([test, 1 - test]), axis=0).sum(1).mean(), rel=1e-4)
    probability = (train.sum(0) + 1) / (len(train) + 2)
    cost = -(test * np.log(probability) + (1 - test) * np.log(1 - probability)).sum(1).mean()
    assert result["independent"]["total"] == pytest.approx(cost, rel=1e-5)


def test_losses_are_their_parts_and_the_bound_is_one(result):
    models, images = result.artifacts["models"], result.artifacts["images"]
    for key, size in (("course", 2), ("small", 2), ("narrows", 4)):
        entry = result[key]
        assert entry["total"] == pytest.approx(entry["reconstruction"] + entry["kl"])
        assert entry["bits"] == pytest.approx(entry["total"] / 64 / np.log(2))
        assert result.facts["floor"] < entry["importance"] < entry["importance_total"]
        assert 0 < entry["n_active"] <= entry["n_code"] == size
        assert -models[key].elbo(images).total.mean() == pytest.approx(entry["total"])
    assert result["narrows"]["total"] < result["independent"]["total"]
    assert models["course"].prior == "normal"
    assert result["course"]["epochs"] == pytest.approx(6)
    assert not any(model.callbacks for model in models.values())


def test_real_images_are_nearest_and_shuffled_pixels_far(result):
    real = result["real"]
    assert real["read"] > 0.9
    others = [entry["distance"] for entry in result.entries if "distance" in entry.values and entry is not real]
    assert real["distance"] < min(others)
    assert result["shuffled"]["distance"] > 5 * real["distance"]
    assert result["narrows_mixture"]["distance"] < result["course_mixture"]["distance"]


def test_frechet_distance_is_its_closed_form():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(500, 3))
    points = (points - points.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(points, rowvar=False))).T
    stretched = points * [1.0, 2.0, 3.0] + [1.0, 0.0, 0.0]
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-9)
    # Of white points: the shift, squared, and the differences of the standard deviations, squared.
    assert frechet_distance(points, stretched) == pytest.approx(1 + 1 + 4, rel=1e-6)
    assert frechet_distance(stretched, points) == pytest.approx(6, rel=1e-6)
    assert frechet_distance(points[:, :1], points[:, :1] * 2) == pytest.approx(1, rel=1e-6)


def test_the_classifier_reads_what_it_has_not_seen():
    images = load_images("digits")
    judge = SampleJudge(images, hidden=16, epochs=60, repeats=2, seed=0)
    assert (judge.predict(images.test) == images.test_labels).mean() > 0.85
    assert judge.features(images.test).shape == (360, 16)
    assert judge.distance(images.test) == pytest.approx(0, abs=1e-6)
    blurred = np.broadcast_to(images.train.mean(0), images.test.shape)
    assert judge.distance(judge.unseen) < 0.1 * judge.distance(blurred)


def test_images_sampled_from_pca_have_their_digit(digits):
    train, _, labels, _ = digits
    linear = LinearGenerator.fit(train.reshape(-1, 8, 8), labels, 8, 0)
    zeros = linear.sample(200, y=0, random_state=1)
    assert zeros.shape == (200, 8, 8)
    own, others = (train[mask].mean(0).reshape(8, 8) for mask in (labels == 0, labels != 0))
    assert np.square(zeros.mean(0) - own).mean() < 0.1 * np.square(zeros.mean(0) - others).mean()
    assert np.array_equal(zeros, linear.sample(200, y=0, random_state=1))

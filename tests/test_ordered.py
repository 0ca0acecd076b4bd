"""Ordered codes: the first numbers of a code are a code."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import narrows
from narrows.networks import Convolutional, Dense


@pytest.fixture(scope="module")
def digits():
    return load_digits().data


@pytest.fixture(scope="module")
def model(digits):
    return narrows.Autoencoder(16, ordered=True, max_epochs=40, random_state=0).fit(digits[:1400])


def test_every_size_beats_pca(model, digits):
    test = digits[1400:]
    pca = PCA(16).fit(digits[:1400])
    last = float(np.square(model.reconstruct(test, n_components=1) - test).mean())
    assert last < test.var(0).mean()
    for size in (2, 3, 4, 6, 8, 12, 16):
        rebuilt = model.reconstruct(test, n_components=size)
        error = float(np.square(rebuilt - test).mean())
        codes = pca.transform(test)
        codes[:, size:] = 0
        assert error < float(np.square(pca.inverse_transform(codes) - test).mean())
        assert error < last
        last = error


def test_the_first_numbers_are_the_code(model, digits):
    codes = model.transform(digits)
    for size in (1, 2, 5, 16):
        short = model.transform(digits, n_components=size)
        assert np.array_equal(short, codes[:, :size])
        rebuilt = model.inverse_transform(short)
        assert np.allclose(rebuilt, model.reconstruct(digits, n_components=size), atol=1e-4)
    assert np.array_equal(model.reconstruct(digits), model.reconstruct(digits, n_components=16))


def test_baselines_tell_every_size(model):
    told = model.baselines_["sizes"]
    assert [entry["n_components"] for entry in told] == [2, 4, 8, 16]
    assert all(entry["model"] < entry["pca"] for entry in told)
    assert told[-1]["model"] == pytest.approx(model.baselines_["model"], rel=1e-3)
    assert told[-1]["pca"] == pytest.approx(model.baselines_["pca"], rel=1e-3)


def test_near_a_model_of_that_size(digits):
    both = [
        narrows.Autoencoder(size, ordered=ordered, max_epochs=40, random_state=0).fit(digits[:1400])
        for size, ordered in ((16, True), (4, False))
    ]
    nested, own = (
        float(np.square(fitted.reconstruct(digits[1400:], *size) - digits[1400:]).mean())
        for fitted, size in zip(both, ((4,), ()), strict=True)
    )
    assert nested < 1.3 * own


@pytest.mark.parametrize("network", [Convolutional((4, 8)), Dense(()), Dense((16,), "relu", linear_path=False)])
@pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
def test_with_any_network(network, digits):
    fitted = narrows.Autoencoder(
        5, network=network, image_shape=(8, 8), ordered=True, max_epochs=3, random_state=0
    ).fit(digits)
    codes = fitted.transform(digits, n_components=3)
    assert fitted.inverse_transform(codes).shape == digits.shape


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
def test_small_codes(n_components, plain):
    fitted = narrows.Autoencoder(n_components, ordered=True, max_epochs=2, random_state=0).fit(plain)
    assert fitted.transform(plain, 1).shape == (len(plain), 1)


def test_without_a_gain_it_is_pca(plain):
    with pytest.warns(narrows.NotBetterThanBaselineWarning):
        fitted = narrows.Autoencoder(4, ordered=True, random_state=0).fit(plain)
    pca = PCA(2).fit(plain)
    expected = pca.inverse_transform(pca.transform(plain))
    assert np.allclose(fitted.reconstruct(plain, 2), expected, atol=1e-3)


def test_mistakes_are_named(model, digits):
    for size in (0, 17, 2.5, "2"):
        with pytest.raises(ValueError, match="n_components must be a whole number of at least 1 and below 17"):
            model.transform(digits, n_components=size)
    with pytest.raises(ValueError, match="codes must have at most 16 columns"):
        model.inverse_transform(np.zeros((2, 17)))
    plain = narrows.Autoencoder(4, max_epochs=1, random_state=0).fit(digits)
    with pytest.raises(ValueError, match="only a model fitted with ordered=True"):
        plain.transform(digits, n_components=2)
    with pytest.raises(ValueError, match="codes must have 4 columns"):
        plain.inverse_transform(np.zeros((2, 3)))
    assert np.array_equal(plain.transform(digits, n_components=4), plain.transform(digits))

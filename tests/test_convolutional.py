"""Convolutional networks: images of any shape, with a code or with skips, whole or in tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import narrows
from narrows.corruption import Gaussian
from narrows.networks import Convolutional
from narrows.networks.model import multiplications_per_row

QUICK = {"max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    return load_digits().images


@pytest.fixture(scope="module")
def cleaner(digits):
    network = Convolutional((8, 16), skips=True)
    return narrows.Autoencoder(8, network=network, corruption=Gaussian(4.0), max_epochs=8, random_state=0).fit(digits)


@pytest.mark.parametrize("shape", [(5, 7), (1, 9), (9, 1), (6, 5, 3)])
@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
def test_images_of_any_height_width_and_channels(shape, skips):
    X = np.random.default_rng(0).uniform(size=(60, *shape)).astype(np.float32)
    network = Convolutional((4, 8), skips=skips)
    model = narrows.Autoencoder(3, network=network, **QUICK).fit(X)
    assert model.image_shape_ == (*shape, 1)[:3]
    assert model.reconstruct(X).shape == X.shape
    assert model.reconstruction_error(X, per_feature=True).shape == X.shape
    if not skips:
        codes = model.transform(X)
        assert codes.shape == (60, 3)
        assert model.inverse_transform(codes).shape == X.shape
        assert np.allclose(model.inverse_transform(codes), model.reconstruct(X), atol=1e-5)


def test_flat_rows_and_images_are_the_same(digits):
    network = Convolutional((4, 8))
    flat = digits.reshape(len(digits), -1)
    one = narrows.Autoencoder(4, network=network, **QUICK).fit(digits)
    other = narrows.Autoencoder(4, network=network, image_shape=(8, 8), **QUICK).fit(flat)
    assert np.array_equal(one.transform(digits), other.transform(flat))
    assert np.array_equal(one.transform(flat), other.transform(digits))
    assert other.inverse_transform(other.transform(flat)).shape == flat.shape


def test_it_beats_pca_and_says_so(digits):
    model = narrows.Autoencoder(4, network="convolutional", max_epochs=20, random_state=0).fit(digits)
    assert model.baselines_["model"] < 0.75 * model.baselines_["pca"]


@pytest.mark.filterwarnings("ignore::narrows.UnlikeTrainingDataWarning")
def test_the_untrained_network_is_pca(digits):
    from sklearn.decomposition import PCA

    flat = digits.reshape(len(digits), -1)
    noise = np.random.default_rng(0).normal(size=(600, 8, 8))
    with pytest.warns(narrows.NotBetterThanBaselineWarning):
        model = narrows.Autoencoder(8, network=Convolutional((4,)), **QUICK).fit(noise)
    assert model.stayed_linear_
    rows = noise.reshape(600, -1)
    pca = PCA(8, svd_solver="full").fit(rows)
    expected = pca.inverse_transform(pca.transform(flat))
    assert np.allclose(model.reconstruct(flat), expected, atol=1e-3 * np.abs(expected).max())


def test_one_row_is_coded_as_among_many(digits, cleaner):
    model = narrows.Autoencoder(4, network=Convolutional((8, 16)), **QUICK).fit(digits)
    codes = model.transform(digits)
    assert np.array_equal(model.transform(digits[7:8]), codes[7:8])
    assert np.array_equal(model.transform(digits[5:205]), codes[5:205])
    assert np.array_equal(cleaner.denoise(digits[9:10]), cleaner.denoise(digits)[9:10])


def test_skips_denoise_and_have_no_code(digits, cleaner, tmp_path):
    told = cleaner.baselines_
    assert told["model"] < 0.7 * min(told["pca"], told["input"])
    for call in (cleaner.transform, cleaner.inverse_transform):
        with pytest.raises(narrows.DataError, match="a network with skips has none"):
            call(digits[:, :1, 0] if call == cleaner.inverse_transform else digits)
    cleaner.save(tmp_path / "model.narrows")
    again = narrows.load(tmp_path / "model.narrows")
    assert again.image_shape_ == (8, 8, 1)
    assert np.array_equal(again.denoise(digits), cleaner.denoise(digits))


@pytest.mark.parametrize("size", [(61, 45), (8, 8), (3, 200)])
@pytest.mark.parametrize("tile", [5, 16])
def test_tiles_leave_no_seams(cleaner, size, tile):
    picture = np.random.default_rng(0).uniform(0, 16, size).astype(np.float32)
    whole = cleaner.denoise_image(picture, tile=10_000)
    tiled = cleaner.denoise_image(picture, tile=tile)
    assert tiled.shape == size
    assert tiled.dtype == np.float32
    assert np.abs(tiled - whole).max() < 1e-4


def test_the_reach_is_no_shorter_than_the_network_sees():
    torch.manual_seed(0)
    noise = np.random.default_rng(0).normal(size=(40, 12, 12))
    model = narrows.Autoencoder(network=Convolutional((4, 4, 4), 2, skips=True), **QUICK).fit(noise)
    with torch.no_grad():
        for parameter in model.decoder_.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    encoder, decoder = model.encoder_[1], model.decoder_[1]
    reach = encoder.down.reach + decoder.up.reach
    size = 4 * reach
    picture = np.zeros((size, size), np.float32)
    before = model.denoise_image(picture, tile=size)
    picture[size // 2, size // 2] = 5.0
    changed = np.argwhere(np.abs(model.denoise_image(picture, tile=size) - before) > 0)
    farthest = np.abs(changed - size // 2).max()
    assert reach / 3 < farthest <= reach


def test_a_grey_model_cleans_each_channel(digits, cleaner):
    picture = np.stack([digits[0], digits[1], digits[2]], -1)
    cleaned = cleaner.denoise_image(picture)
    for channel in range(3):
        assert np.array_equal(cleaned[:, :, channel], cleaner.denoise_image(digits[channel]))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_pictures_of_any_type(cleaner, digits, dtype):
    picture = digits[0].astype(dtype)
    assert np.allclose(cleaner.denoise_image(picture), cleaner.denoise_image(digits[0]), atol=1e-4)


def test_no_pictures(cleaner):
    for picture in (np.zeros((2, 2, 2, 2)), np.zeros(4), np.zeros((0, 3)), np.array([["a"]]), np.full((4, 4), np.nan)):
        with pytest.raises(narrows.DataError):
            cleaner.denoise_image(picture)


def test_mistakes_are_named(digits, cleaner):
    flat = digits.reshape(len(digits), -1)
    network = Convolutional((4,))
    cases = [
        ({}, flat, "needs to know the shape of the images.*such as image_shape=\\(8, 8\\)"),
        ({}, flat[:, :60], "needs to know the shape of the images that rows of 60 values are: give image_shape, or"),
        ({"image_shape": (8, 9)}, flat, "rows of 64 values are not images of shape"),
        ({"image_shape": 64}, flat, "image_shape must be"),
        ({"image_shape": (8, 0)}, flat, "image_shape must be"),
        ({"scaling": "standard"}, digits, "images are scaled as a whole"),
        ({}, np.zeros((5, 2, 2, 2, 2)), "rows may be images"),
    ]
    for options, X, message in cases:
        with pytest.raises(ValueError, match=message):
            narrows.Autoencoder(2, network=network, **QUICK, **options).fit(X)
    with pytest.raises(ValueError, match="ordered=True needs a network with a code"):
        narrows.Autoencoder(2, network=Convolutional((4,), skips=True), ordered=True).fit(digits)
    with pytest.raises(ValueError, match="tile must be"):
        cleaner.denoise_image(digits[0], tile=0)
    with pytest.raises(narrows.DataError, match="fitted to"):
        cleaner.denoise(digits.reshape(-1, 4, 16))
    model = narrows.Autoencoder(2, network=network, **QUICK).fit(digits)
    with pytest.raises(narrows.DataError, match="for pictures of any size fit Convolutional\\(skips=True\\)"):
        model.denoise_image(np.zeros((9, 9)))
    assert model.denoise_image(digits[0]).shape == (8, 8)
    table = narrows.Autoencoder(2, **QUICK).fit(flat)
    with pytest.raises(narrows.DataError, match="was not fitted to images"):
        table.denoise_image(digits[0])


@pytest.mark.parametrize("bad", [{"channels": ()}, {"channels": (0,)}, {"blocks": -1}, {"activation": "no"}])
def test_options_that_make_no_sense(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Convolutional(**bad)


def test_work_counts_every_place_of_a_convolution(digits):
    model = narrows.Autoencoder(2, network=Convolutional((4,), blocks=0), **QUICK).fit(digits)
    down, up = model.encoder_[1].layers[1], model.decoder_[1].layers[2]
    n_parameters = sum(p.numel() for p in model._model.parameters())
    weights = down.halving[0].weight.numel() + up.doubling[0].weight.numel()
    assert multiplications_per_row(model._model, 64) == n_parameters + weights * (16 - 1)


def test_pooled_bounds(digits):
    # Single pixels at the rim never leave 0; the images as a whole go from 0 to 16, and 0 is frequent.
    model = narrows.Autoencoder(4, network=Convolutional((4,)), **QUICK).fit(digits)
    bright = np.full((1, 8, 8), 16.0)
    assert model.reconstruct(bright)[0, 4, 0] > 0
    assert model.reconstruct(digits).min() >= 0

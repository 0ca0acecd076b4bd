"""Pictures of denoising, loadings, responses and maps of many points."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA

import narrows
from narrows.report import (
    plot_code_map,
    plot_denoised_picture,
    plot_denoising,
    plot_loadings,
    plot_reconstructions,
    plot_responses,
)

THEMES = pytest.mark.parametrize("theme", ["light", "dark"])


@pytest.fixture(scope="module")
def digits():
    return load_digits().images[:600]


@pytest.fixture(scope="module")
def noisy(digits):
    return digits + np.random.default_rng(0).normal(0, 4, digits.shape)


@pytest.fixture(scope="module")
def model(digits, noisy):
    return narrows.Autoencoder(6, max_epochs=10, random_state=0).fit(noisy, digits)


@THEMES
def test_denoising_tells_decibels(model, digits, noisy, theme):
    flat = digits.reshape(len(digits), -1)
    figure = plot_denoising({"PCA": PCA(6).fit(flat), "narrows": model}, noisy, digits, theme=theme)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert [label.split("\n")[0] for label in labels] == ["noisy", "PCA", "narrows", "clean"]
    expected = narrows.metrics.psnr(digits, model.denoise(noisy))
    assert labels[2].endswith(f"{expected:.1f} dB")
    figure.canvas.draw()


def test_denoising_without_the_clean_ones(model, noisy):
    assert len(plot_denoising(model, noisy[:1]).axes) == 2
    flat = noisy.reshape(len(noisy), -1)
    assert len(plot_denoising(model, flat, n_images=3).axes) == 2
    assert len(plot_denoising({"other": flat}, flat, image_shape=(8, 8)).axes) == 2


def test_denoising_mistakes(model, digits, noisy):
    for arguments, message in [
        ((model, noisy, digits[:5]), "Clean images have shape"),
        ((model, noisy[:0]), "at least one"),
        (({"a": noisy[:3]}, noisy), "Cleaned images have shape"),
    ]:
        with pytest.raises(narrows.DataError, match=message):
            plot_denoising(*arguments)


@THEMES
def test_one_picture_and_a_detail(theme):
    picture = np.random.default_rng(0).uniform(0, 255, (60, 90))
    figure = plot_denoised_picture({"flat": picture * 0 + 128}, picture, picture / 2, detail=30, theme=theme)
    assert len(figure.axes) == 6
    assert "dB" in figure.axes[0].get_title()
    with pytest.raises(narrows.DataError, match="The flat picture has shape"):
        plot_denoised_picture({"flat": picture[:5]}, picture)


@THEMES
def test_loadings(theme):
    iris = load_iris()
    figure = plot_loadings(PCA(3).fit(iris.data), feature_names=iris.feature_names, theme=theme)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == iris.feature_names
    figure.canvas.draw()
    many = plot_loadings(PCA(2).fit(np.random.default_rng(0).normal(size=(50, 200))))
    assert many.axes[0].get_title(loc="left") == "20 of 200 columns"
    images = plot_loadings(PCA(5).fit(load_digits().data), image_shape=(8, 8), theme=theme)
    assert len(images.axes) == 5
    with pytest.raises(narrows.DataError, match="has no components_"):
        plot_loadings(object())
    with pytest.raises(narrows.DataError, match="There are 2 names for 4 columns"):
        plot_loadings(PCA(3).fit(iris.data), feature_names=["a", "b"])


@pytest.mark.filterwarnings("ignore::narrows.NotBetterThanBaselineWarning")
@THEMES
def test_responses(model, digits, theme):
    figure = plot_responses(model, digits, n_codes=3, theme=theme)
    assert len(figure.axes) == 3 * 7
    iris = load_iris(as_frame=True)
    fitted = narrows.Autoencoder(2, scaling="standard", early_stopping=False, random_state=0).fit(iris.data)
    table = plot_responses(fitted, iris.data, theme=theme)
    assert [label.get_text() for label in table.axes[0].get_yticklabels()] == list(iris.data.columns)


def test_responses_of_pca_are_its_loadings():
    iris = load_iris().data
    pca = PCA(2).fit(iris)
    shown = plot_responses(pca, iris).axes[0].images[0].get_array()
    low, high = np.percentile(pca.transform(iris), [5, 95], axis=0)
    expected = pca.components_.T * (high - low) / iris.std(0)[:, None]
    order = [int(label.get_text()) - 1 for label in plot_responses(pca, iris).axes[0].get_xticklabels()]
    assert np.allclose(shown, expected[:, order])


def test_reconstructions_know_the_models_shape(digits):
    images = narrows.Autoencoder(4, max_epochs=2, random_state=0).fit(digits)
    assert len(plot_reconstructions(digits, images).axes) == 2
    colours = np.random.default_rng(0).uniform(size=(30, 4, 5, 3))
    assert len(plot_reconstructions(colours, colours * 0.9).axes) == 2


@pytest.mark.parametrize("n", [2, 70_000])
def test_maps_of_two_points_and_of_very_many(n):
    codes = np.random.default_rng(0).normal(size=(n, 5))
    figure = plot_code_map(codes, np.arange(n) % 2)
    figure.canvas.draw()
    assert "PC 1 of the codes" in figure.axes[0].get_xlabel()


def test_maps_by_neighbours(model, digits):
    codes = model.transform(digits)
    figure = plot_code_map(codes, load_digits().target[:600], method="tsne", max_points=200)
    assert figure.axes[0].get_xlabel() == "t-SNE of 200 codes of 6 numbers"
    assert plot_code_map(codes[:, :2], method="tsne").axes[0].get_xlabel() == "code unit 1"
    with pytest.raises(narrows.DataError, match="method must be"):
        plot_code_map(codes, method="umap")

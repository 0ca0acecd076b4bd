"""Pictures of variational autoencoders: losses, samples, the plane of two numbers, ways between images."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from scipy.special import ndtri
from sklearn.datasets import load_digits

import narrows
from conftest import THEMES, drawn
from narrows.report import plot_interpolation, plot_losses, plot_manifold, plot_samples


@pytest.fixture(scope="module")
def images():
    return load_digits().images[:600]


@pytest.fixture(scope="module")
def model(images):
    options = {"likelihood": "gaussian", "network": "dense", "max_epochs": 4, "random_state": 0}
    return narrows.VariationalAutoencoder(2, **options).fit(images, load_digits().target[:600])


@pytest.fixture(scope="module")
def coloured():
    rng = np.random.default_rng(0)
    images = (rng.uniform(size=(100, 1, 1, 3)) + rng.uniform(size=(100, 4, 5, 3)) / 10) / 1.1
    return images, narrows.VariationalAutoencoder(2, network="dense", max_epochs=20, random_state=0).fit(images)


@THEMES
def test_losses_have_three_panels_and_two_lines_in_each(model, theme):
    figure = plot_losses(model, theme=theme)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["total", "reconstruction", "KL"]
    # The third line of the total is the level of independent features.
    assert [len(axes.lines) for axes in figure.axes] == [3, 2, 2]
    total = figure.axes[0].lines[1].get_ydata()
    assert total[-1] == pytest.approx(model.history_[-1]["val_total_loss"])
    assert sum(axes.get_legend() is not None for axes in figure.axes) == 1
    assert drawn(figure)


def test_losses_of_several_models_and_of_bare_records(model):
    figure = plot_losses({"one": model, "two": model.history_}, x="step")
    assert len(figure.axes) == 6
    assert [len(axes.lines) for axes in figure.axes] == [3, 2, 2, 2, 2, 2]
    assert "one" in figure.axes[0].get_ylabel()
    record = {"epoch": 1.0, "total_loss": -3.0, "reconstruction_loss": -3.5, "kl_loss": 0.0}
    assert drawn(plot_losses([record]))


def test_losses_of_a_model_fitted_in_parts(images):
    model = narrows.VariationalAutoencoder(2, network="dense", random_state=0)
    for part in (images[:300], images[300:]):
        model.partial_fit(part)
    total = plot_losses(model).axes[0].lines[0].get_ydata()
    assert total[-1] == pytest.approx(sum(model.history_[-1][f"{part}_loss"] for part in ("reconstruction", "kl")))


def test_the_first_record_does_not_flatten_the_rest():
    records = [
        {"epoch": e, "total_loss": 100 / e**4, "reconstruction_loss": 100 / e**4 - 1, "kl_loss": 1.0}
        for e in (1, 3, 4, 5)
    ]
    assert plot_losses(records).axes[0].get_ylim()[1] < 2
    assert plot_losses(records[:2]).axes[0].get_ylim()[1] > 100


@THEMES
def test_samples_are_squares_or_rows(model, images, theme):
    figure = plot_samples({"real": images, "sampled": model}, n_images=10, theme=theme)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["real", "sampled"]
    # Ten images in three rows of four, a pixel between them; the last two places are empty.
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (3 * 9 - 1, 4 * 9 - 1)
    assert np.isnan(np.ma.filled(shown, np.nan)[18:, 18:]).all()
    assert np.allclose(shown[:8, 9:17], images[1] / 16)
    rows = plot_samples({str(y): model.sample(5, y=y, random_state=0) for y in (0, 1, 2)}, rows=True, theme=theme)
    assert [axes.get_ylabel() for axes in rows.axes] == ["0", "1", "2"]
    assert drawn(figure)
    assert drawn(rows)


def test_labels_of_rows_are_not_cut_off(images):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    for count in (3, 7, 12):
        figure = plot_samples({f"number {row}": images[:count] for row in range(5)}, rows=True)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        assert all(axes.yaxis.label.get_window_extent(renderer).x0 >= 0 for axes in figure.axes)


def test_samples_of_one_model_are_the_same_at_every_call(model, images):
    first, again = (plot_samples(model, n_images=4).axes[0].images[0].get_array() for _ in range(2))
    assert np.array_equal(np.ma.filled(first, -1), np.ma.filled(again, -1))
    assert len(plot_samples(images.reshape(-1, 64)[:1]).axes) == 1
    assert len(plot_samples(images.reshape(-1, 64)[:3], image_shape=(4, 16)).axes) == 1


@THEMES
def test_the_manifold_is_decoded_at_quantiles(model, theme):
    figure = plot_manifold(model, n=4, theme=theme)
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (4 * 9 - 1, 4 * 9 - 1)
    low, high = ndtri(0.5 / 4), ndtri(3.5 / 4)
    # The first number goes to the right, the second one up.
    corner = model.inverse_transform([[low, low], [high, low], [low, high]])
    found = np.stack([shown[27:, :8], shown[27:, 27:], shown[:8, :8]])
    span = (found[1] - found[0])[0, 3] / (corner[1] - corner[0])[0, 3]
    assert np.allclose(found[1] - found[0], span * (corner[1] - corner[0]), atol=1e-5)
    assert np.allclose(found[2] - found[0], span * (corner[2] - corner[0]), atol=1e-5)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["-1.2", "-0.3", "0.3", "1.2"]
    assert drawn(figure)


def test_the_manifold_is_of_two_numbers(images):
    three = narrows.VariationalAutoencoder(3, network="dense", max_epochs=1, random_state=0).fit(images)
    with pytest.raises(narrows.DataError):
        plot_manifold(three)
    told = narrows.VariationalAutoencoder(2, network="dense", conditional=True, max_epochs=1, random_state=0)
    told.fit(images, load_digits().target[:600])
    assert len(plot_manifold(told, n=3, y=7).axes) == 1


@THEMES
def test_interpolations_have_their_ends_beside_them(model, images, theme):
    figure = plot_interpolation(model, images[0], images[1], steps=5, theme=theme)
    assert len(figure.axes) == 6
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["linear", "spherical"]
    start, way, end = (axes.images[0].get_array() for axes in figure.axes[:3])
    assert np.allclose(start, images[0] / 16)
    assert np.allclose(end, images[1] / 16)
    expected = model.interpolate(images[0], images[1], 5)[2] / 16
    assert np.allclose(way[:, 18:26], expected.clip(0, 1), atol=1e-6)
    several = plot_interpolation(model, images[:2], images[2:4], methods=("linear",), theme=theme)
    assert len(several.axes) == 6
    flat = images.reshape(-1, 64)
    for first, last in ((flat[0], flat[1]), (flat[:1], flat[1:2]), (images[:1], images[1:2])):
        assert len(plot_interpolation(model, first, last, steps=3).axes) == 6
    assert drawn(figure)


@THEMES
def test_images_of_colours(coloured, theme):
    images, fitted = coloured
    for figure in (
        plot_samples({"real": images, "sampled": fitted}, n_images=7, theme=theme),
        plot_manifold(fitted, n=3, theme=theme),
        plot_interpolation(fitted, images[0], images[1], theme=theme),
    ):
        assert drawn(figure)


@pytest.mark.parametrize(
    "draw",
    [
        lambda *_: plot_losses([]),
        lambda *_: plot_losses({}),
        lambda *_: plot_losses([{"epoch": 1, "loss": 1.0}]),
        lambda model, _: plot_losses(model, x="minutes"),
        lambda *_: plot_samples({}),
        lambda _, images: plot_samples(images[:0]),
        lambda _, images: plot_samples({"a": images, "b": images[:, :4]}),
        lambda _, images: plot_samples(images, n_images=0),
        lambda model, _: plot_manifold(model, n=1),
        lambda model, images: plot_interpolation(model, images[:2], images[:3]),
        lambda model, images: plot_interpolation(model, images[0], images[1], methods=()),
    ],
)
def test_what_cannot_be_drawn_is_refused(model, images, draw):
    with pytest.raises(narrows.DataError):
        draw(model, images)

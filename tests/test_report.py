"""Plots as figures with the right parts, and reports as one safe file."""

from __future__ import annotations

import base64
import re
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA

import narrows
from conftest import THEMES, drawn
from narrows.errors import DataError
from narrows.report import (
    Section,
    Table,
    plot_code_map,
    plot_denoised_picture,
    plot_denoising,
    plot_errors,
    plot_history,
    plot_loadings,
    plot_rates,
    plot_reconstructions,
    plot_responses,
    render_report,
    require_matplotlib,
    write_report,
)
from narrows.report.maps import _apart, _in_plane

RECORDS = [{"epoch": e, "step": 10 * e, "seconds": 0.1 * e, "loss": 1 / e, "val_loss": 1.2 / e} for e in (1, 2, 3, 4)]
DIGITS = load_digits().images[:300]
NOISY = DIGITS + np.random.default_rng(0).normal(0, 4, DIGITS.shape)
FLAT = DIGITS.reshape(300, -1)


@pytest.fixture(scope="module")
def model():
    return narrows.Autoencoder(6, max_epochs=5, random_state=0).fit(NOISY, DIGITS)


def _ylabels(figure) -> list[str]:
    return [axes.get_ylabel() for axes in figure.axes]


# --- curves


@pytest.mark.parametrize(("x", "theme"), [("epoch", "light"), ("step", "dark"), ("seconds", "light")])
def test_history_has_a_line_for_each_loss(theme, x):
    figure = plot_history(RECORDS, x=x, theme=theme)
    assert len(figure.axes) == 1
    assert len(figure.axes[0].lines) == 2
    assert drawn(figure)


def test_history_of_an_estimator_shows_the_trivial_answers():
    class Fitted:
        history_ = RECORDS
        baselines_ = {"model": 0.3, "pca": 0.5, "mean": 1.0, "rows": 10, "held_out": True}  # noqa: RUF012

    figure = plot_history({"one": Fitted(), "two": RECORDS})
    assert [len(axes.lines) for axes in figure.axes] == [4, 2]
    assert {text.get_text() for text in figure.axes[0].texts} == {"PCA", "mean row"}
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "two"]


def test_errors_and_rates_have_their_points():
    figure = plot_errors({"a": [0.1, 0.2], "b": [0.0, 0.3]}, theme="dark")
    assert len(figure.axes[0].lines) == 2
    assert drawn(figure)
    curve = [{"bits_per_value": b, "mse": 1 / b, "chosen": b == 2} for b in (1, 2, 4)]
    line, chosen = plot_rates(curve).axes[0].lines
    assert line.get_xdata().tolist() == [1, 2, 4]
    assert (chosen.get_xdata()[0], chosen.get_ydata()[0]) == (2, 0.5)


# --- images


def test_reconstructions_have_a_row_for_each_model(model):
    pca = PCA(4).fit(FLAT)
    figure = plot_reconstructions(FLAT, {"fitted": pca, "array": np.zeros_like(FLAT)}, n_images=5)
    assert _ylabels(figure) == ["original", "fitted", "array"]
    assert drawn(figure)
    assert len(plot_reconstructions(FLAT[:1], FLAT[:1]).axes) == 2
    assert len(plot_reconstructions(FLAT, model).axes) == 2
    colours = np.random.default_rng(0).random((2, 4, 6, 3))
    assert len(plot_reconstructions(colours, colours * 0.9).axes) == 2
    assert drawn(plot_reconstructions(colours.reshape(2, -1), colours, shape=(4, 6, 3), theme="dark"))


@THEMES
def test_denoising_tells_decibels(model, theme):
    figure = plot_denoising({"PCA": PCA(6).fit(FLAT), "narrows": model}, NOISY, DIGITS, theme=theme)
    labels = _ylabels(figure)
    assert [label.split("\n")[0] for label in labels] == ["noisy", "PCA", "narrows", "clean"]
    assert labels[2].endswith(f"{narrows.metrics.psnr(DIGITS, model.denoise(NOISY)):.1f} dB")
    figure.canvas.draw()


def test_denoising_without_the_clean_ones(model):
    assert len(plot_denoising(model, NOISY[:1]).axes) == 2
    flat = NOISY.reshape(300, -1)
    assert len(plot_denoising(model, flat, n_images=3).axes) == 2
    assert len(plot_denoising({"other": flat}, flat, image_shape=(8, 8)).axes) == 2


@THEMES
def test_one_picture_and_a_detail(theme):
    picture = np.random.default_rng(0).uniform(0, 255, (60, 90))
    figure = plot_denoised_picture({"flat": picture * 0 + 128}, picture, picture / 2, detail=30, theme=theme)
    assert len(figure.axes) == 6
    assert "dB" in figure.axes[0].get_title()


# --- loadings and responses


@THEMES
def test_loadings(theme):
    iris = load_iris()
    figure = plot_loadings(PCA(3).fit(iris.data), feature_names=iris.feature_names, theme=theme)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == iris.feature_names
    figure.canvas.draw()
    many = plot_loadings(PCA(2).fit(np.random.default_rng(0).normal(size=(50, 200))))
    assert many.axes[0].get_title(loc="left") == "20 of 200 columns"
    assert len(plot_loadings(PCA(5).fit(FLAT), image_shape=(8, 8), theme=theme).axes) == 5


def test_responses(model):
    assert len(plot_responses(model, DIGITS, n_codes=3, theme="dark").axes) == 3 * 7
    # Those of PCA are its loadings.
    iris = load_iris().data
    pca = PCA(2).fit(iris)
    axes = plot_responses(pca, iris).axes[0]
    low, high = np.percentile(pca.transform(iris), [5, 95], axis=0)
    expected = pca.components_.T * (high - low) / iris.std(0)[:, None]
    order = [int(label.get_text()) - 1 for label in axes.get_xticklabels()]
    assert np.allclose(axes.images[0].get_array(), expected[:, order])


# --- maps


@pytest.mark.parametrize(("n", "width"), [(1, 1), (2, 5), (300, 1), (300, 2), (300, 5), (70_000, 5)])
def test_maps_of_any_size(n, width):
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 10, n)
    figure = plot_code_map(rng.random((n, width)), classes)
    assert len(figure.axes) == 1
    assert len(figure.axes[0].texts) == len(np.unique(classes))
    assert drawn(figure)


def test_maps_side_by_side_and_without_labels():
    codes = np.random.default_rng(0).random((50, 2))
    assert len(plot_code_map({"a": codes, "b": codes}).axes) == 2
    assert len(plot_code_map(codes, np.linspace(0, 1, 50)).axes) == 2
    assert drawn(plot_code_map(np.ones((5, 3)), list("abcab"), theme="dark"))
    assert len(plot_code_map(FLAT, load_digits().target[:300], model=PCA(3).fit(FLAT)).axes[0].texts) == 10


def test_the_plane_is_that_of_pca_or_of_neighbours():
    codes = np.random.default_rng(0).standard_normal((200, 5)) * [5, 3, 1, 1, 1]
    points, names = _in_plane(codes)
    pca = PCA(2).fit(codes)
    np.testing.assert_allclose(np.abs(points), np.abs(pca.transform(codes)), atol=1e-8)
    assert f"{pca.explained_variance_ratio_[0]:.0%}" in names[0]
    assert "t-SNE of 60 codes" in plot_code_map(codes, method="tsne", max_points=60).axes[0].get_xlabel()
    assert "t-SNE" not in plot_code_map(codes[:, :2], method="tsne").axes[0].get_xlabel()


def test_labels_are_pushed_apart():
    places = np.random.default_rng(0).uniform(0.45, 0.55, (10, 2))
    moved = _apart(places, np.full(10, 0.06), height=0.06)
    away = np.abs(moved[:, None] - moved[None])
    overlaps = (away < 0.055).all(2) & ~np.eye(10, dtype=bool)
    assert not overlaps.any()
    assert np.abs(moved - places).max() < 0.3


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plot_history([]),
        lambda: plot_history(RECORDS, x="time"),
        lambda: plot_history(RECORDS, theme="blue"),
        lambda: plot_history({}),
        lambda: plot_errors([]),
        lambda: plot_rates([]),
        lambda: plot_reconstructions(np.ones((2, 5)), np.ones((2, 5))),
        lambda: plot_reconstructions(np.ones((2, 6)), np.ones((2, 6)), shape=(2, 2)),
        lambda: plot_reconstructions(np.ones((2, 4)), np.ones((2, 9))),
        lambda: plot_reconstructions(np.ones((0, 4)), np.ones((0, 4))),
        lambda: plot_denoising(NOISY, NOISY, DIGITS[:5]),
        lambda: plot_denoising(NOISY, NOISY[:0]),
        lambda: plot_denoising({"a": NOISY[:3]}, NOISY),
        lambda: plot_denoised_picture({"flat": NOISY[0][:5]}, NOISY[0]),
        lambda: plot_loadings(object()),
        lambda: plot_loadings(PCA(3).fit(FLAT[:, :4]), feature_names=["a", "b"]),
        lambda: plot_code_map(np.ones((0, 2))),
        lambda: plot_code_map({}),
        lambda: plot_code_map([[np.nan, 1.0]]),
        lambda: plot_code_map(np.ones((2, 2)), [1]),
        lambda: plot_code_map(np.ones((40, 2)), [f"c{i}" for i in range(40)]),
        lambda: plot_code_map(np.ones((40, 2)), method="umap"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw):
    with pytest.raises(DataError):
        draw()


def test_no_pyplot_and_no_global_settings():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    drawn(plot_history(RECORDS, theme="dark"))
    drawn(plot_code_map(np.eye(3)))
    assert dict(mpl.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_without_matplotlib_one_clear_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for act in (require_matplotlib, lambda: plot_history(RECORDS)):
        with pytest.raises(DataError, match=r"narrows\[plots\]"):
            act()


# --- the page


def _page(**changes) -> str:
    nasty = '<script>alert("1")</script> & {braces}'
    table = Table(("model", nasty), (("a", nasty), (nasty, "1")), (None, 1))
    figure = {"figure": lambda theme: plot_history(RECORDS, theme=theme)}
    section = {"text": nasty, "table": table, "items": (nasty,), **figure}
    return render_report(nasty, [Section(nasty, caption=nasty, **(section | changes))], lead=nasty)


def test_page_fetches_nothing_and_runs_nothing_in_both_themes():
    page = _page()
    addresses = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert len(addresses) == 2
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    for forbidden in ("<script", "url(", "@import"):
        assert forbidden not in page
    dark, light = (base64.b64decode(found) for found in re.findall(r'base64,([^"]+)"', page))
    assert light.startswith(b"\x89PNG")
    assert dark.startswith(b"\x89PNG")
    assert light != dark
    assert "prefers-color-scheme:dark" in page
    assert _page() == page


def test_page_escapes_text_and_marks_the_best():
    page = _page(figure=None)
    assert page.count("&lt;script&gt;") == 9
    assert "<td><strong>1</strong></td>" in page
    assert "{braces}" in page


def test_a_report_is_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "report.html"
    file.write_text("old")

    def fail(theme):
        raise DataError("no figure")

    with pytest.raises(DataError, match="no figure"):
        write_report(file, "Title", [Section("One", figure=fail)])
    assert file.read_text() == "old"
    write_report(file, "Título", [Section("One", "ü")])
    assert "Título" in file.read_text(encoding="utf-8")
    with pytest.raises(DataError, match="does not exist"):
        write_report(tmp_path / "no" / "report.html", "Title", [])

"""Plots as figures with the right parts, and reports as one safe file."""

from __future__ import annotations

import base64
import io
import re
import sys

import numpy as np
import pytest

from narrows.errors import DataError

pytest.importorskip("matplotlib")

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from narrows.report import (
    Section,
    Table,
    plot_code_map,
    plot_errors,
    plot_history,
    plot_reconstructions,
    render_report,
    require_matplotlib,
    write_report,
)
from narrows.report.maps import _apart, _in_plane

RECORDS = [{"epoch": e, "step": 10 * e, "seconds": 0.1 * e, "loss": 1 / e, "val_loss": 1.2 / e} for e in (1, 2, 3, 4)]


class _Fitted:
    def __init__(self):
        self.history_ = RECORDS
        self.baselines_ = {"model": 0.3, "pca": 0.5, "mean": 1.0, "rows": 10, "held_out": True}


def _drawn(figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("x", ["epoch", "step", "seconds"])
def test_history_has_a_line_for_each_loss(theme, x):
    figure = plot_history(RECORDS, x=x, theme=theme)
    assert len(figure.axes) == 1
    assert len(figure.axes[0].lines) == 2
    assert _drawn(figure)


def test_history_of_an_estimator_shows_the_trivial_answers():
    figure = plot_history({"one": _Fitted(), "two": RECORDS})
    assert [len(axes.lines) for axes in figure.axes] == [4, 2]
    assert {text.get_text() for text in figure.axes[0].texts} == {"PCA", "mean row"}
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "two"]


def test_reconstructions_have_a_row_for_each_model():
    X = load_digits().data
    pca = PCA(4).fit(X)
    figure = plot_reconstructions(X, {"fitted": pca, "array": np.zeros_like(X)}, n_images=5)
    assert [axes.get_ylabel() for axes in figure.axes] == ["original", "fitted", "array"]
    assert _drawn(figure)
    assert len(plot_reconstructions(X[:1], X[:1]).axes) == 2
    colour = np.random.default_rng(0).random((2, 4 * 6 * 3))
    assert _drawn(plot_reconstructions(colour, colour, shape=(4, 6, 3), theme="dark"))


@pytest.mark.parametrize("n", [1, 2, 300, 70_000])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_maps_of_any_size(n, width):
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 10, n)
    figure = plot_code_map(rng.random((n, width)), classes)
    assert len(figure.axes) == 1
    assert len(figure.axes[0].texts) == len(np.unique(classes))
    if n < 1000 or width == 5:
        assert _drawn(figure)


def test_maps_side_by_side_and_without_labels():
    codes = np.random.default_rng(0).random((50, 2))
    assert len(plot_code_map({"a": codes, "b": codes}).axes) == 2
    with_bar = plot_code_map(codes, np.linspace(0, 1, 50))
    assert len(with_bar.axes) == 2
    assert _drawn(plot_code_map(np.ones((5, 3)), list("abcab"), theme="dark"))
    X, y = load_digits(return_X_y=True)
    assert len(plot_code_map(X, y, model=PCA(3).fit(X)).axes[0].texts) == 10


def test_the_plane_is_that_of_pca():
    codes = np.random.default_rng(0).standard_normal((200, 5)) * [5, 3, 1, 1, 1]
    points, names = _in_plane(codes)
    pca = PCA(2).fit(codes)
    np.testing.assert_allclose(np.abs(points), np.abs(pca.transform(codes)), atol=1e-8)
    assert names[0] == f"PC 1 of the codes ({pca.explained_variance_ratio_[0]:.0%} of their variance)"


def test_labels_are_pushed_apart():
    places = np.random.default_rng(0).uniform(0.45, 0.55, (10, 2))
    moved = _apart(places, np.full(10, 0.06), height=0.06)
    away = np.abs(moved[:, None] - moved[None])
    overlaps = (away < 0.055).all(2) & ~np.eye(10, dtype=bool)
    assert not overlaps.any()
    assert np.abs(moved - places).max() < 0.3


def test_errors_have_a_line_each():
    figure = plot_errors({"a": [0.1, 0.2], "b": [0.0, 0.3]}, theme="dark")
    assert len(figure.axes[0].lines) == 2
    assert _drawn(figure)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot_history([]), "history is empty"),
        (lambda: plot_history(RECORDS, x="time"), "x must be one of"),
        (lambda: plot_history(RECORDS, theme="blue"), "theme must be"),
        (lambda: plot_history({}), "no history"),
        (lambda: plot_reconstructions(np.ones((2, 5)), np.ones((2, 5))), "give shape"),
        (lambda: plot_reconstructions(np.ones((2, 6)), np.ones((2, 6)), shape=(2, 2)), "not images of shape"),
        (lambda: plot_reconstructions(np.ones((2, 4)), np.ones((2, 9))), "have shape"),
        (lambda: plot_reconstructions(np.ones((0, 4)), np.ones((0, 4))), "at least one row"),
        (lambda: plot_code_map(np.ones((0, 2))), "at least one row"),
        (lambda: plot_code_map({}), "no codes"),
        (lambda: plot_code_map([[np.nan, 1.0]]), "finite"),
        (lambda: plot_code_map(np.ones((2, 2)), [1]), "labels of shape"),
        (lambda: plot_code_map(np.ones((40, 2)), [f"c{i}" for i in range(40)]), "too many"),
        (lambda: plot_errors([]), "no errors"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(DataError, match=message):
        draw()


def test_no_pyplot_and_no_global_settings():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    _drawn(plot_history(RECORDS, theme="dark"))
    _drawn(plot_code_map(np.eye(3)))
    assert dict(mpl.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_without_matplotlib_one_clear_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for act in (require_matplotlib, lambda: plot_history(RECORDS)):
        with pytest.raises(DataError, match=r'pip install "narrows\[plots\]"'):
            act()


# --- the page


def _page(**changes) -> str:
    nasty = '<script>alert("1")</script> & {braces}'
    table = Table(("model", nasty), (("a", nasty), (nasty, "1")), (None, 1))
    section = {
        "text": nasty,
        "table": table,
        "items": (nasty,),
        "figure": lambda theme: plot_history(RECORDS, theme=theme),
    }
    return render_report(nasty, [Section(nasty, caption=nasty, **(section | changes))], lead=nasty)


def test_page_fetches_nothing_and_runs_nothing():
    page = _page()
    addresses = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert len(addresses) == 2
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    assert "<script" not in page
    assert "url(" not in page
    assert "@import" not in page


def test_page_escapes_text_and_marks_the_best():
    page = _page(figure=None)
    assert page.count("&lt;script&gt;") == 9
    assert "<td><strong>1</strong></td>" in page
    assert "{braces}" in page


def test_page_has_both_themes():
    page = _page()
    dark, light = (base64.b64decode(found) for found in re.findall(r'base64,([^"]+)"', page))
    assert light.startswith(b"\x89PNG")
    assert dark.startswith(b"\x89PNG")
    assert light != dark
    assert "prefers-color-scheme:dark" in page
    assert _page() == page


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

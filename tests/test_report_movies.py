"""Pictures of recommenders: bars, the map of items, and the page of the lab on films."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("pandas")

import torch

from narrows.errors import DataError
from narrows.labs import run_movies_lab
from narrows.labs.movies_data import made_up_movies
from narrows.report import movies_lab_report, plot_bars, plot_item_map
from narrows.report.movies_lab import LONGEST_TITLE, _listed, movies_tables
from narrows.report.recommend_plots import short_title

THEMES = pytest.mark.parametrize("theme", ["light", "dark"])


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def result():
    return run_movies_lab(made_up_movies(150, 80, 2500), method="linear", n_splits=1, max_epochs=3)


def _drawn(figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


@THEMES
def test_bars_have_values_and_errors(theme):
    panels = {"a $x$": {"one": 0.5, "two": (0.25, 0.05)}, "b": {"one": 3.0}}
    figure = plot_bars(panels, highlight=["two"], digits=2, theme=theme)
    first, second = figure.axes
    assert [bar.get_width() for bar in first.patches] == [0.5, 0.25]
    assert [text.get_text() for text in first.texts] == ["0.50", "0.25"]
    assert first.patches[0].get_facecolor() != first.patches[1].get_facecolor()
    assert first.get_xlim()[1] == pytest.approx(0.6)
    assert second.get_xlim()[1] == pytest.approx(3.6)
    assert first.get_xlabel() == "a $x$"
    assert _drawn(figure)


def test_bars_share_a_scale_where_asked():
    figure = plot_bars({"a": {"one": 1.0}, "b": {"one": 3.0}}, same_scale=True)
    assert [axes.get_xlim()[1] for axes in figure.axes] == pytest.approx([3.6, 3.6])
    with pytest.raises(DataError, match="no bars"):
        plot_bars({"a": {}})


@THEMES
def test_no_title_of_the_map_lies_on_another(theme):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 2))
    titles = [f"Film, The number {number} (1999)" for number in range(200)]
    groups = [f"group {number % 4}" for number in range(200)]
    figure = plot_item_map(points, titles, groups, theme=theme)
    axes = figure.axes[0]
    assert _drawn(figure)
    assert 5 < len(axes.texts) <= 80
    written = [text.get_text() for text in axes.texts]
    assert written == [short for short in map(short_title, titles) if short in written]
    boxes = [text.get_window_extent() for text in axes.texts]
    frame = axes.get_window_extent()
    for number, box in enumerate(boxes):
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert not any(box.overlaps(other) for other in boxes[:number])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == sorted(set(groups))


def test_map_without_groups_and_with_strange_titles():
    figure = plot_item_map([[0, 0], [5, 5], [9, 0]], ["$x_$ & <y>", "(500)", "x" * 90])
    assert [text.get_text() for text in figure.axes[0].texts] == ["$x_$ & <y>", "(500)"]
    assert _drawn(figure)
    assert _drawn(plot_item_map([[1.0, 1.0]], ["alone"]))


@pytest.mark.parametrize(
    ("points", "titles", "groups"),
    [([[0, 0, 0]], ["a"], None), (np.zeros((0, 2)), [], None), ([[0, 0]], ["a", "b"], None), ([[0, 0]], ["a"], [])],
)
def test_what_is_no_map_is_refused(points, titles, groups):
    with pytest.raises(DataError, match="points"):
        plot_item_map(points, titles, groups)


@pytest.mark.parametrize(
    ("title", "short", "listed"),
    [
        ("Matrix, The (1999)", "The Matrix", "Matrix, The (1999)"),
        ("Seven (a.k.a. Se7en) (1995)", "Seven", "Seven (1995)"),
        ("12 Angry Men", "12 Angry Men", "12 Angry Men"),
        ("(500) Days of Summer (2009)", "Days of Summer", "Days of Summer (2009)"),
        ("Misérables, Les (1995)", "Les Misérables", "Misérables, Les (1995)"),
        ("(1408)", "(1408)", "(1408)"),
    ],
)
def test_titles_are_made_short(title, short, listed):
    assert short_title(title) == short
    assert _listed(title) == listed


def test_long_titles_lose_their_year_first():
    assert _listed("a" * LONGEST_TITLE + " (1999)") == "a" * LONGEST_TITLE
    cut = _listed("word " * 30 + "(1999)")
    assert len(cut) <= LONGEST_TITLE + 1
    assert cut.endswith("word …")


def test_tables_hold_the_numbers(result):
    tables = movies_tables(result)
    assert len(tables) == 9
    stars = tables["Predicted stars"]
    assert [row[1] for row in stars.rows] == [f"{one.rmse:.3f}" for one in result.stars]
    rmse = [one.rmse for one in result.stars]
    assert stars.best[1] == rmse.index(min(rmse))
    lists = tables["Lists of films, for users not in the fit"]
    assert lists.rows[-1][1] == f"{result.ranking[-1].ndcg:.3f} ± {result.ranking[-1].ndcg_error:.3f}"
    for table in tables.values():
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_the_page_is_whole(result, tmp_path):
    out = tmp_path / "report.html"
    movies_lab_report(result, out)
    text = out.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.count("<figure>") == text.count("<figcaption>") == 4
    assert text.count("<table>") == 9 + bool(result.candidates)
    assert "Made-up ratings, not those of people" in text
    plain = re.sub(r"data:image[^\"]*", "", text)
    assert "http" not in plain
    assert "nan" not in re.sub(r"<[^>]*>", " ", plain).split()

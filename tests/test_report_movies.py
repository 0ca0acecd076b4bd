"""Pictures of recommenders: bars, and the map of items."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from conftest import THEMES, drawn
from narrows.errors import DataError
from narrows.report import plot_bars, plot_item_map
from narrows.report.recommend_plots import short_title


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
    assert drawn(figure)


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
    assert drawn(figure)
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


def test_map_without_groups_and_with_odd_titles():
    figure = plot_item_map([[0, 0], [5, 5], [9, 0]], ["$x_$ & <y>", "(500)", "x" * 90])
    assert [text.get_text() for text in figure.axes[0].texts] == ["$x_$ & <y>", "(500)"]
    assert drawn(figure)
    assert drawn(plot_item_map([[1.0, 1.0]], ["alone"]))


@pytest.mark.parametrize(
    ("points", "titles", "groups"),
    [([[0, 0, 0]], ["a"], None), (np.zeros((0, 2)), [], None), ([[0, 0]], ["a", "b"], None), ([[0, 0]], ["a"], [])],
)
def test_what_is_no_map_is_refused(points, titles, groups):
    with pytest.raises(DataError, match="points"):
        plot_item_map(points, titles, groups)


@pytest.mark.parametrize(
    ("title", "short"),
    [
        ("Matrix, The (1999)", "The Matrix"),
        ("Seven (a.k.a. Se7en) (1995)", "Seven"),
        ("12 Angry Men", "12 Angry Men"),
        ("(500) Days of Summer (2009)", "Days of Summer"),
        ("Misérables, Les (1995)", "Les Misérables"),
        ("(1408)", "(1408)"),
    ],
)
def test_titles_are_made_short(title, short):
    assert short_title(title) == short

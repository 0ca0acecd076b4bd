"""Pictures of anomalies: explanations, scores, series, and the page on a table."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import pandas as pd
from scipy import sparse

import narrows
from conftest import THEMES, drawn
from narrows.anomaly import write_anomaly_report
from narrows.report import plot_anomaly_scores, plot_explanation, plot_series
from narrows.report.anomaly_plots import value_text

pytestmark = pytest.mark.usefixtures("one_thread")


def _rows(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return np.column_stack([x, 2 * x + 0.1 * rng.normal(size=n), rng.normal(size=n), 100 + 5 * rng.normal(size=n)])


def _frame(X: np.ndarray, start: int = 0) -> pd.DataFrame:
    kind = np.where(X[:, 0] > 0, "warm", "cold")
    columns = {"a $x$": X[:, 0], "b": X[:, 1], "kind": kind, "c<d>": X[:, 2], "e": X[:, 3]}
    return pd.DataFrame(columns, index=[f"r{start + number}" for number in range(len(X))])


@pytest.fixture(scope="module")
def numbers():
    return narrows.AnomalyDetector(random_state=0).fit(_rows(400, 0))


@pytest.fixture(scope="module")
def mixed():
    return narrows.AnomalyDetector(random_state=0).fit(_frame(_rows(400, 0)))


@pytest.fixture(scope="module")
def anomalous():
    X = _rows(100, 1)
    X[7] = [1.0, -2.0, 0.0, 100.0]
    X[50, 3] = 200.0
    return X


def _texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def _page(file) -> str:
    """Return a page's words, without images."""
    text = re.sub(r"<style>.*?</style>|data:image[^\"]*", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", text))


# --- explanations


@THEMES
def test_an_explanation_has_a_bar_for_each_column(numbers, anomalous, theme):
    figure = plot_explanation(numbers, anomalous[50], top=3, theme=theme)
    axes = figure.axes[0]
    told = numbers.explain(anomalous[50:51], top=3)
    assert [label.get_text() for label in axes.get_yticklabels()] == told["column"].tolist()
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(told["attribution"].tolist())
    assert axes.get_yticklabels()[0].get_text() == "x3"
    assert _texts(axes)[0] == f"200  (expected {value_text(told['expected'][0])})"
    assert re.match(r"score \d+\.\d, threshold \d\.\d", axes.get_title(loc="left"))
    assert drawn(figure)


def test_an_explanation_of_a_frame_names_categories(mixed, anomalous):
    frame = _frame(anomalous)
    frame.loc["r3", "kind"] = "cold" if frame.loc["r3", "kind"] == "warm" else "warm"
    for given in (frame.loc[["r3"]], frame.loc["r3"]):
        axes = plot_explanation(mixed, given).axes[0]
        assert len(axes.patches) == 5
        assert any("expected warm" in text or "expected cold" in text for text in _texts(axes))
    assert drawn(mixed.plot_explanation(frame.loc["r3"], top=2))


def test_an_explanation_goes_on_axes_that_are_given(numbers, anomalous):
    from matplotlib.figure import Figure

    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot_explanation(numbers, anomalous[7:8], ax=right) is figure
    assert not left.patches
    assert len(right.patches) == 4


@pytest.mark.parametrize(("take", "count"), [(slice(0, 3), "3"), (slice(0, 0), "0")])
def test_one_row_is_explained_at_a_time(numbers, anomalous, take, count):
    with pytest.raises(narrows.DataError, match=f"One row is explained in a plot, not {count}"):
        plot_explanation(numbers, anomalous[take])


def test_values_are_short():
    assert value_text(np.float32(0.1)) == "0.1"
    assert value_text(-0.0000123) == "-1.2e-05"
    assert value_text(None) == value_text(pd.NA) == "missing"
    assert len(value_text("x" * 99)) == 20


# --- scores


@THEMES
def test_scores_are_a_histogram_with_the_threshold(theme):
    scores = np.random.default_rng(0).normal(size=3000)
    figure = plot_anomaly_scores(scores, threshold=2.0, theme=theme)
    axes = figure.axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 3000
    assert axes.get_yscale() == "log"
    assert axes.lines[0].get_xdata()[0] == 2.0
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        f"threshold 2.00: {(scores > 2).sum():,} above"
    ]
    assert drawn(figure)


@pytest.mark.parametrize("labels", [np.arange(40) >= 37, [0] * 37 + [1] * 3, [1] * 37 + [-1] * 3])
def test_known_anomalies_are_told_apart(labels):
    axes = plot_anomaly_scores(np.arange(40.0), labels=labels).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["normal: 37", "anomalies: 3"]
    assert axes.get_yscale() == "linear"


def test_one_score_and_equal_scores_aredrawn():
    for scores in ([1.0], np.zeros(1000), [0.0, np.inf, np.nan]):
        assert drawn(plot_anomaly_scores(scores, threshold=3.0, labels=np.zeros(len(scores))))


@pytest.mark.parametrize("arguments", [([],), ([1.0, 2.0], [1]), ([1.0, 2.0], ["a", "b"]), ([1.0, 2.0], [0, 7])])
def test_mistakes_with_scores(arguments):
    with pytest.raises(narrows.DataError):
        plot_anomaly_scores(arguments[0], labels=arguments[1] if len(arguments) > 1 else None)


# --- series


@pytest.fixture(scope="module")
def waves():
    time = np.arange(400)
    series = np.stack([np.sin(time / (3.0 + channel)) for channel in range(6)], 1)
    return series + 0.05 * np.random.default_rng(0).normal(size=series.shape)


def test_rows_of_windows_come_back_as_the_series(waves):
    for stride in (1, 7):
        cut = narrows.windows(waves, 20, stride)
        assert np.allclose(cut.series_of(cut.rows), waves)
    frame = pd.DataFrame(waves[:, :2], columns=["a", "b"])
    cut = narrows.windows(frame, 9, 4)
    assert np.allclose(cut.series_of(cut.rows), waves[:, :2])
    # Where windows differ it is their mean: steps 0 to 2 and 1 to 3, one with zeros, one with ones.
    cut = narrows.windows(np.arange(4.0), 3)
    assert cut.series_of([[0, 0, 0], [1, 1, 1]])[:, 0].tolist() == [0, 0.5, 0.5, 1]
    with pytest.raises(narrows.DataError, match=r"shape \(2, 3\) are needed"):
        cut.series_of([[0, 0]])


def test_what_is_expected_of_a_series_is_near_it_and_of_a_wrong_value_is_not(waves):
    series = waves[:, :2].copy()
    cut = narrows.windows(series, 20)
    detector = narrows.AnomalyDetector(random_state=0).fit(cut.rows)
    series[200] = 3.0
    wrong = narrows.windows(series, 20)
    expected = wrong.series_of(detector.expected(wrong.rows))
    away = np.abs(expected - series)
    assert np.sqrt(np.square(away[:150]).mean()) < 0.3
    assert (np.abs(expected[200] - waves[200, :2]) < 1.5).all()
    assert (away[200] > 1).all()


def test_what_is_expected_of_a_frame_is_a_frame(mixed, anomalous):
    frame = _frame(anomalous)
    frame.loc["r5", "e"] = np.nan
    expected = mixed.expected(frame)
    assert list(expected.columns) == list(frame.columns)
    assert list(expected.index) == list(frame.index)
    assert np.isfinite(expected["e"]).all()
    assert (expected["kind"] == frame["kind"]).mean() > 0.8
    assert mixed.expected(frame.iloc[:1]).shape == (1, 5)


@THEMES
def test_a_series_is_drawn_with_its_spans_and_scores(waves, theme):
    scores = np.arange(400.0)
    series = waves[:, :2]
    figure = plot_series(series, scores, spans=[(3, 9), (399, 400)], expected=series + 1, threshold=300, theme=theme)
    first, second, last = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == ["x0", "x1", "anomaly score"]
    assert np.allclose(first.lines[1].get_ydata() - first.lines[0].get_ydata(), 1)
    assert [len(axes.patches) for axes in figure.axes] == [2, 2, 2]
    assert np.array_equal(last.lines[0].get_ydata(), scores)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["seen", "expected", "anomalous"]
    assert second.get_xlim() == (0, 399)
    assert drawn(figure)


def test_the_channels_drawn_are_chosen(waves):
    assert [axes.get_ylabel() for axes in plot_series(waves).axes] == ["x0", "x1", "x2", "x3"]
    expected = waves.copy()
    expected[10:20, 5] += 5
    far = plot_series(waves, spans=[(10, 20)], expected=expected)
    assert "x5" in [axes.get_ylabel() for axes in far.axes]
    frame = pd.DataFrame(waves, columns=list("abcdef"), index=pd.date_range("2024-01-01", periods=400, freq="h"))
    assert [axes.get_ylabel() for axes in plot_series(frame, channels=["f", 1]).axes] == ["f", "b"]
    assert drawn(plot_series(frame, spans=[(0, 1)]))
    assert len(plot_series(waves[:, 0]).axes) == 1


def test_a_long_series_keeps_its_spikes():
    series = np.zeros(300_001)
    series[123_457], series[200_003] = 9.0, -9.0
    line = plot_series(series).axes[0].lines[0].get_ydata()
    assert len(line) < 25_000
    assert (line.max(), line.min()) == (9.0, -9.0)


@pytest.mark.parametrize(
    "options",
    [
        {"scores": [1.0]},
        {"spans": [(5, 5)]},
        {"spans": [(0, 401)]},
        {"expected": np.zeros((400, 2))},
        {"channels": ["z"]},
        {"channels": [6]},
        {"channels": []},
    ],
)
def test_mistakes_with_series(waves, options):
    for series, given in ((waves, options), ([], {})):
        with pytest.raises(narrows.DataError):
            plot_series(series, **given)


# --- the page


def _found(detector, X, flags=None):
    return {
        "scores": detector.anomaly_score(X),
        "p_values": detector.p_values(X),
        "flags": detector.predict(X) == -1 if flags is None else flags,
    }


def test_the_page_tells_of_an_array(numbers, anomalous, tmp_path):
    file = tmp_path / "page.html"
    found = _found(numbers, anomalous)
    write_anomaly_report(file, numbers, anomalous, **found, title="Wells & pumps", top=4)
    text = _page(file)
    assert "Wells & pumps" in text
    assert f"{found['flags'].sum()} flagged" in text
    assert f"{-numbers.offset_:.2f}" in text
    assert re.search(r"\s(7|50)\s.*x3: 200 \(expected (9|10)\d\.?\d*\)", text, re.DOTALL)
    raw = file.read_text(encoding="utf-8")
    assert raw.count("<figure>") == 1 + 4
    assert raw.count("<tr>") == 1 + 4
    assert "http" not in re.sub(r"data:image[^\"]*", "", raw)


def test_the_page_tells_of_frames_with_categories_and_labels(mixed, anomalous, tmp_path):
    frame = _frame(anomalous)
    labels = np.isin(np.arange(100), (7, 50))
    scores = mixed.anomaly_score(frame)
    found = _found(mixed, frame, scores >= np.sort(scores)[-2])
    write_anomaly_report(tmp_path / "page.html", mixed, frame, **found, labels=labels)
    text = _page(tmp_path / "page.html")
    assert "AUROC" in text
    assert re.search(r"Row r(7|50)\s", text)
    polars = pytest.importorskip("polars")
    given = polars.from_pandas(frame)
    write_anomaly_report(tmp_path / "polars.html", mixed, given, **_found(mixed, given))
    assert re.search(r"Row (7|50)\s", _page(tmp_path / "polars.html"))


def test_the_page_says_by_which_rule(numbers, anomalous, tmp_path):
    file, scores = tmp_path / "page.html", numbers.anomaly_score(anomalous)
    pages = []
    for flags, rule in ((scores >= np.sort(scores)[-1], ""), (scores > 1e9, ""), (scores > 1e9, "By hand.")):
        write_anomaly_report(file, numbers, anomalous, **_found(numbers, anomalous, flags), rule=rule, top=1)
        pages.append(_page(file))
    assert "1 of 100" in pages[0]
    assert "None of the 100" in pages[1]
    assert "By hand." in pages[2]
    assert "The rule" not in pages[2]
    for contamination in (0.1, "auto"):
        detector = narrows.AnomalyDetector(contamination=contamination, random_state=0).fit(anomalous)
        write_anomaly_report(file, detector, anomalous, **_found(detector, anomalous), top=1)
        # Where anomalies are among the rows of the fit nothing is promised of p-values.
        assert "if all rows were" not in _page(file)


def test_the_page_of_one_row(numbers, anomalous, tmp_path):
    file = tmp_path / "page.html"
    for row, words in ((0, "The row is not flagged"), (50, "The row is flagged")):
        one = anomalous[row : row + 1]
        write_anomaly_report(file, numbers, one, **_found(numbers, one), names=["pump 3"], labels=[row == 50])
        assert words in _page(file)
        assert "Row pump 3" in _page(file)


def test_the_page_of_other_inputs(numbers, anomalous, tmp_path):
    file = tmp_path / "page.html"
    np.save(tmp_path / "rows.npy", anomalous)
    for given in (str(tmp_path / "rows.npy"), sparse.csr_matrix(anomalous), anomalous.tolist()):
        write_anomaly_report(file, numbers, given, **_found(numbers, given), top=1)
        assert re.search(r"x3: 200 \(expected", _page(file))
    detector = narrows.AnomalyDetector(random_state=0).fit(pd.DataFrame(_rows(200, 0), columns=list("abcd")))
    found = _found(detector, pd.DataFrame(anomalous, columns=list("abcd")))
    write_anomaly_report(file, detector, anomalous, **found, top=1)
    assert re.search(r"d: 200 \(expected", _page(file))


@pytest.mark.parametrize(
    "changes",
    [{"p_values": [0.5]}, {"flags": [True]}, {"names": ["a"]}, {"labels": [1]}, {"scores": []}, {"top": 0}],
)
def test_mistakes_with_the_page(numbers, anomalous, tmp_path, changes):
    found = _found(numbers, anomalous)
    for rows, given in ((anomalous, found | changes), (anomalous[:99], found)):
        with pytest.raises(narrows.DataError):
            write_anomaly_report(tmp_path / "page.html", numbers, rows, **given)
    assert not (tmp_path / "page.html").exists()

"""The report of the lab on anomalies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.labs.anomalies_results import RATES
from narrows.report.anomaly_plots import plot_anomaly_scores, plot_explanation
from narrows.report.html import Section, Table, write_report
from narrows.report.theme import diverging, new_figure, require_matplotlib, style_axes, theme_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from narrows.labs.anomalies_results import AnomalyResult

__all__ = ["anomaly_lab_report", "anomaly_tables"]

_SIDE = 8
"""Pixels of a digit, there and across."""

_MARKS = ("o", "s", "^", "v", "D")


def anomaly_tables(result: AnomalyResult) -> dict[str, Table]:
    """Return the lab's numbers as tables, for the terminal and for the report, by what they are of.

    Parameters
    ----------
    result : AnomalyResult
        A lab that has been run.

    Returns
    -------
    dict of Table
        Times and the rates of ordinary rows are never marked as best.
    """
    return {
        "Telling anomalies from ordinary rows": _ranking_table(result),
        "Digits held out, AUROC": _digits_table(result),
        "Digits that pass a threshold that is to let so many ordinary ones pass": _rates_table(result),
        "Rows with one wrong value, of which that column is the first to blame": _blame_table(result),
    }


def _ranking_table(result: AnomalyResult) -> Table:
    measures = [(data, measure) for data in ("digits", "cancer") for measure in ("auroc", "average_precision")]
    values = np.array(
        [[result.values(data, method.key, measure).mean() for data, measure in measures] for method in result.methods]
    )
    rows = tuple(
        (
            method.name,
            *(f"{value:.3f}" for value in line),
            f"{result.values('digits', method.key, 'seconds').mean():.2f} s",
        )
        for method, line in zip(result.methods, values, strict=True)
    )
    heads = ("method", "digits, AUROC", "average precision", "table, AUROC", "average precision", "time")
    return Table(heads, rows, (None, *(int(best) for best in values.argmax(0)), None))


def _digits_table(result: AnomalyResult) -> Table:
    tasks = result.tasks_of("digits")
    values = np.array([result.values("digits", method.key, "auroc") for method in result.methods])
    rows = tuple(
        (method.name, *(f"{value:.3f}" for value in line)) for method, line in zip(result.methods, values, strict=True)
    )
    heads = ("method", *(task.key.rpartition("-")[2] for task in tasks))
    return Table(heads, rows, (None, *(int(best) for best in values.argmax(0))))


def _rates_table(result: AnomalyResult) -> Table:
    heads, rows = ["method"], [[method.name] for method in result.methods]
    for rate in RATES:
        heads += [f"{rate:.0%}: ordinary", "found"]
        for row, method in zip(rows, result.methods, strict=True):
            row += [f"{result.values('digits', method.key, kind, rate).mean():.1%}" for kind in ("passed", "found")]
    return Table(tuple(heads), tuple(map(tuple, rows)))


def _blame_table(result: AnomalyResult) -> Table:
    keys = [method.key for method in result.methods if any(blame.method == method.key for blame in result.blames)]
    blames = [[result.blame(data, key) for data in ("digits", "cancer")] for key in keys]
    rows = tuple(
        (result.method(key).name, *(f"{blame.first:,} of {blame.n_rows:,}" for blame in line))
        for key, line in zip(keys, blames, strict=True)
    )
    counts = np.array([[blame.first for blame in line] for line in blames])
    return Table(("method", "digits", "table"), rows, (None, *(int(best) for best in counts.argmax(0))))


def anomaly_lab_report(result: AnomalyResult, path: str | os.PathLike[str]) -> None:
    """Write the report of the lab: one HTML file with its numbers, what they say, and pictures.

    Parameters
    ----------
    result : AnomalyResult
        A lab that has been run.
    path : path-like
        The file.

    Raises
    ------
    DataError
        If matplotlib is missing or the file cannot be written.

    Examples
    --------
    >>> from narrows.labs import run_anomaly_lab
    >>> from narrows.report import anomaly_lab_report
    >>> anomaly_lab_report(run_anomaly_lab(), "report.html")  # doctest: +SKIP
    """
    require_matplotlib()
    digits, cancer = result.tasks_of("digits"), result.tasks_of("cancer")[0]
    several = f"{len(digits)} digits, each held out in turn" if len(digits) > 1 else f"{digits[0].name}"
    lead = (
        f"Handwritten digits, {several}, and {cancer.n_train:,} benign cells to fit, {cancer.n_ordinary:,} benign and "
        f"{cancer.n_anomalies:,} malignant ones to tell apart; seed {result.seed}."
    )
    write_report(path, "Anomalies: the lab", _sections(result), lead=lead)


def _sections(result: AnomalyResult) -> list[Section]:
    tables = anomaly_tables(result)
    ranking, digits, rates, blame = tables.items()
    return [
        Section(
            ranking[0],
            "AUROC is the share of all pairs in which the anomaly scores higher than the ordinary row; of digits it is "
            "the mean over those held out. Average precision looks at the top of the list. The best of a column is "
            "bold; the time is that of one fit to digits.",
            table=ranking[1],
        ),
        Section("What the numbers say", items=result.lessons),
        Section(
            digits[0],
            "Every digit in turn is one that no method has seen. The best of a column is bold.",
            table=digits[1],
            figure=lambda theme: _plot_tasks(result, theme),
            caption="The AUROC of each method for each digit held out, and for the table. Chance is 0.5.",
        ),
        Section(
            "Thresholds",
            "A threshold is to let 1, 5 or 10 of 100 ordinary digits pass as anomalies. Of test digits, the shares of "
            "ordinary ones that do pass, and of the digits held out that are found; means over the digits.",
            table=rates[1],
        ),
        *_image_sections(result),
        *_table_sections(result),
        Section(
            "Is the right column blamed?",
            f"{blame[0]}. As taught and for PCA it is the column with the largest squared error.",
            table=blame[1],
        ),
        Section("How it was done", items=(*_methods(result), *result.notes)),
        Section("The data", items=result.sources),
    ]


def _methods(result: AnomalyResult) -> tuple[str, ...]:
    return tuple(f"{method.name}: {method.description}." for method in result.methods)


def _image_sections(result: AnomalyResult) -> list[Section]:
    what = (
        "Above what was seen; then what narrows expected of each pixel, given the others; below the pixels it blames, "
        "blue where there is more ink than expected and orange where there is less, the darker the more."
    )
    kinds: tuple[tuple[str, str, Callable[[np.ndarray], int]], ...] = (
        ("The strangest digits", "Of each digit held out the image with the highest score, which is above it. ", _last),
        ("Digits of middling score", "Of each digit held out the image whose score is the median. ", _middle),
        ("The digits that were missed", "Of each digit held out the image that looks most ordinary. ", _first),
    )
    sections = []
    for title, text, pick in kinds:
        images = _explained(result, pick)
        sections.append(
            Section(title, figure=lambda theme, images=images: _plot_images(images, theme), caption=text + what)  # type: ignore[misc]
        )
    return sections


def _first(scores: np.ndarray) -> int:
    return int(scores.argmin())


def _middle(scores: np.ndarray) -> int:
    return int(np.argsort(scores, kind="stable")[len(scores) // 2])


def _last(scores: np.ndarray) -> int:
    return int(scores.argmax())


def _explained(result: AnomalyResult, pick: Callable[[np.ndarray], int]) -> dict[str, np.ndarray]:
    """Return one anomaly of each digit, what was expected of it, and its pixels to blame, (3, 8, 8), by digit."""
    found = {}
    for task in result.tasks_of("digits"):
        shown = result.exhibits[task.key]
        strange = np.flatnonzero(shown.labels)
        row = strange[pick(shown.scores["narrows"][strange])]
        told = shown.detector.explain(shown.rows[row : row + 1])
        places = told["column"].str.removeprefix("x").astype(int).to_numpy()
        images = np.zeros((3, _SIDE * _SIDE))
        seen, expected = told["seen"].to_numpy(), told["expected"].to_numpy()
        images[:, places] = seen, expected, told["share"].to_numpy() * np.sign(seen - expected)
        score = round(float(shown.scores["narrows"][row]), 1) + 0.0
        found[f"{task.key.rpartition('-')[2]}: {score}"] = images.reshape(3, _SIDE, _SIDE)
    return found


def _plot_images(images: dict[str, np.ndarray], theme: str) -> Figure:
    """Draw each digit with its score in a column: seen, expected, to blame."""
    colours = theme_of(theme)
    count = len(images)
    figure = new_figure(1.0 + 0.95 * count, 3.3, colours)
    grid = figure.subplots(3, count, squeeze=False)
    for column, (name, three) in enumerate(images.items()):
        most = float(np.abs(three[2]).max()) or 1.0
        for axes, image in zip(grid[:2, column], three, strict=False):
            axes.imshow(image, cmap=colours.images, vmin=0, vmax=16, interpolation="nearest")
        grid[2, column].imshow(three[2], cmap=diverging(colours), vmin=-most, vmax=most, interpolation="nearest")
        grid[0, column].set_title(name, color=colours.faint, fontsize=9)
    for row, name in zip(grid, ("seen", "expected", "to blame"), strict=True):
        for axes in row:
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_color(colours.line)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10, color=colours.ink)
    return figure


def _table_sections(result: AnomalyResult) -> list[Section]:
    shown = result.exhibits["cancer"]
    scores = shown.scores["narrows"]
    threshold = -float(shown.detector.offset_)
    row = int(np.where(shown.labels, scores, -np.inf).argmax())
    return [
        Section(
            "The scores of the table",
            figure=lambda theme: plot_anomaly_scores(scores, threshold=threshold, labels=shown.labels, theme=theme),
            caption="Scores by narrows of benign cells, which are ordinary here, and of malignant ones. The threshold "
            f"is that for {shown.detector.false_positive_rate:.0%} of ordinary rows.",
        ),
        Section(
            "The strangest row of the table",
            figure=lambda theme: plot_explanation(shown.detector, shown.rows.iloc[row : row + 1], theme=theme),
            caption="The columns to blame for the malignant cell with the highest score: what was seen, and what was "
            "expected given the rest of the row.",
        ),
    ]


def _plot_tasks(result: AnomalyResult, theme: str) -> Figure:
    colours = theme_of(theme)
    tasks = result.tasks
    figure = new_figure(8.2, 1.1 + 0.32 * len(tasks), colours)
    axes: Any = figure.subplots()
    style_axes(axes, colours, xlabel="AUROC")
    places = np.arange(len(tasks))
    for number, method in enumerate(result.methods):
        values = [result[task.key, method.key].auroc for task in tasks]
        style = {"ls": "", "ms": 8 if method.key == "narrows" else 6, "zorder": 3}
        # narrows is the last, and has the first colour.
        colour = colours.series[(number + 1) % len(colours.series)]
        axes.plot(values, places, _MARKS[number], color=colour, label=method.name, **style)
    for place in places:
        axes.axhline(place, color=colours.line, lw=0.8, zorder=1)
    axes.axvline(0.5, color=colours.faint, lw=1, ls=":", zorder=1)
    axes.set_yticks(places, [task.name for task in tasks], color=colours.ink)
    axes.set_ylim(len(tasks) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.3, "ncols": len(result.methods)}
    axes.legend(frameon=False, fontsize=9, labelcolor=colours.ink, columnspacing=1.2, handletextpad=0.3, **above)
    return figure

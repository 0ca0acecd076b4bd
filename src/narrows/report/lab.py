"""The report of a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from narrows.report.html import Section, Table, write_report
from narrows.report.images import plot_reconstructions
from narrows.report.maps import plot_code_map
from narrows.report.plots import plot_errors, plot_history
from narrows.report.theme import require_matplotlib

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from narrows.labs.results import Accuracy, Entry, LabResult

__all__ = ["lab_report", "lab_table"]

_COLUMNS: dict[str, Callable[[Entry], float | None]] = {
    "test error": lambda entry: entry.test_mse,
    "× PCA": lambda entry: entry.test_mse,
    "seconds": lambda entry: None,  # noqa: ARG005
    "validation accuracy": lambda entry: _minus(entry.accuracy, "validation"),
    "test accuracy": lambda entry: _minus(entry.accuracy, "test"),
    "test, codes standardised": lambda entry: _minus(entry.accuracy_standardised, "test"),
}


def lab_table(result: LabResult) -> Table:
    """Return a lab's numbers as a table, for the terminal and for the report.

    Parameters
    ----------
    result : LabResult
        A lab that has been run.

    Returns
    -------
    Table
        A row for each model; times are never marked as best.
    """
    pca = result["pca"].test_mse
    rows = tuple(
        (
            entry.name,
            f"{entry.test_mse:.4f}",
            f"{entry.test_mse / pca:.2f}",
            f"{entry.seconds:.1f}",
            *(
                "" if accuracy is None else f"{getattr(accuracy, part):.3f}"
                for accuracy, part in (
                    (entry.accuracy, "validation"),
                    (entry.accuracy, "test"),
                    (entry.accuracy_standardised, "test"),
                )
            ),
        )
        for entry in result.entries
    )
    best = [None, *(_smallest([rank(entry) for entry in result.entries]) for rank in _COLUMNS.values())]
    return Table(("model", *_COLUMNS), rows, tuple(best))


def _minus(accuracy: Accuracy | None, part: str) -> float | None:
    return None if accuracy is None else -getattr(accuracy, part)


def _smallest(values: list[float | None]) -> int | None:
    known = [(value, number) for number, value in enumerate(values) if value is not None]
    return min(known)[1] if known else None


def lab_report(result: LabResult, path: str | os.PathLike[str]) -> None:
    """Write the report of a lab: one HTML file with its numbers, what they say, and pictures.

    Parameters
    ----------
    result : LabResult
        A lab that has been run.
    path : path-like
        The file.

    Raises
    ------
    DataError
        If matplotlib is missing or the file cannot be written.

    Examples
    --------
    >>> from narrows.labs import run_lab
    >>> from narrows.report import lab_report
    >>> lab_report(run_lab("digits"), "report.html")  # doctest: +SKIP
    """
    require_matplotlib()
    lead = (
        f"{result.n_train:,} images of {result.n_pixels} pixels to fit, {result.n_test:,} to test; "
        f"a code of {result.n_components} numbers; seed {result.seed}."
    )
    title = f"Lab 1: {'MNIST' if result.name == 'mnist' else result.name} through a narrow code"
    write_report(path, title, _sections(result), lead=lead)


def _sections(result: LabResult) -> list[Section]:
    return [
        Section(
            "The numbers",
            "The error is the mean squared error per pixel of rebuilt test images. The accuracies are those of one "
            "and the same classifier that sees the codes only; in the last column each number of the codes is first "
            "brought to mean 0 and deviation 1. The best of each column is bold.",
            table=lab_table(result),
        ),
        Section("What they say", items=result.lessons),
        *_picture_sections(result),
        Section("How it was done", items=(*_models(result), *result.notes)),
        Section("The data", result.source),
    ]


def _models(result: LabResult) -> tuple[str, ...]:
    return tuple(f"{entry.name}: {entry.description}." for entry in result.entries)


def _picture_sections(result: LabResult) -> list[Section]:
    shown = result.exhibits
    names = {entry.key: entry.name for entry in result.entries}
    levels = {"PCA, test images": result["pca"].test_mse}
    sections = [
        Section(
            "Images and what is left of them",
            figure=lambda theme: plot_reconstructions(
                shown.images,
                {names[key]: images for key, images in shown.rebuilt.items()},
                shape=result.shape,
                theme=theme,
            ),
            caption="The first test images, and the same images as each model rebuilds them from its code.",
        ),
        Section(
            "Training",
            figure=lambda theme: plot_history(
                {names[key]: records for key, records in shown.histories.items()},
                references=levels,
                ylabel="mean squared error per pixel",
                theme=theme,
            ),
            caption="The error while training. The network as taught holds no images out, so it cannot see whether it "
            "has begun to learn its training images by heart. Dotted: PCA's error on the test images.",
        ),
        Section(
            "Error by image",
            figure=lambda theme: plot_errors(
                {names[key]: errors for key, errors in shown.errors.items()},
                xlabel="mean squared error of a test image, per pixel",
                theme=theme,
            ),
            caption="Which share of the test images has at most this error. Further left is better.",
        ),
        Section(
            "Maps of the codes",
            figure=lambda theme: plot_code_map(
                {names[key]: codes for key, codes in shown.codes.items()}, shown.code_labels, theme=theme
            ),
            caption=f"The codes of {len(shown.code_labels):,} test images, brought to two numbers by PCA, by digit. "
            "Two numbers hold only part of a code, as the axes say: digits that overlap here may be apart in the code.",
        ),
    ]
    return sections if shown.histories else [section for section in sections if section.title != "Training"]

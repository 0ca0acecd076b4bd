"""The report of the lab on variational autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.report.generation import plot_interpolation, plot_manifold, plot_samples
from narrows.report.html import Section, Table, write_report
from narrows.report.images import plot_reconstructions
from narrows.report.maps import plot_code_map
from narrows.report.plots import plot_losses
from narrows.report.theme import require_matplotlib

if TYPE_CHECKING:
    import os

    from narrows.labs.vae_results import VaeResult

__all__ = ["vae_lab_report", "vae_sections", "vae_tables"]

_PAIRS = ((1, 7), (3, 8), (4, 9))
"""Digits that the interpolations lead from and to."""

_SAMPLED = 36
_BY_LABEL = 12
_TRAVERSED = 5


def vae_tables(result: VaeResult) -> dict[str, Table]:
    """Return the lab's numbers as tables, for the terminal and for the report, by what they are of.

    Parameters
    ----------
    result : VaeResult
        A lab that has been run.

    Returns
    -------
    dict of Table
        Losses, squared errors and distances; times are never marked as best.
    """
    return {
        "What a test image costs, in nats, and in bits a pixel": _loss_table(result),
        "Squared error of rebuilt test images, per pixel": _rebuilding_table(result),
        "Distance of images from the test images": _samples_table(result),
    }


def _loss_table(result: VaeResult) -> Table:
    nothing = ("", "", "", "")
    pixels = result.n_pixels * float(np.log(2))
    simple = (
        ("independent pixels", "", "", f"{result.independent:.1f}", f"{result.independent / pixels:.3f}", *nothing[:3]),
    )
    rows = tuple(
        (
            entry.name,
            f"{entry.reconstruction:.1f}",
            f"{entry.kl:.1f}",
            f"{entry.total:.1f}",
            f"{entry.bits_per_pixel:.3f}",
            f"{entry.importance:.1f}",
            f"{entry.n_active} of {entry.n_components}",
            f"{entry.seconds:.0f} s",
        )
        for entry in result.entries
    )
    columns = ("model", "rebuild", "KL", "total", "bits", "importance", "used", "time")
    totals = [result.independent, *(entry.total for entry in result.entries)]
    importance = [entry.importance for entry in result.entries]
    best = int(np.argmin(totals))
    return Table(columns, simple + rows, (None, None, None, best, best, 1 + int(np.argmin(importance)), None, None))


def _rebuilding_table(result: VaeResult) -> Table:
    # By the size of the code.
    found = [(entry.n_components or 0, entry.name, entry.test_mse) for entry in result.simple]
    found += [(entry.n_components, entry.name, entry.test_mse) for entry in result.entries]
    found.sort(key=lambda row: (row[0], -row[2]))
    mean = result.simple_error("mean")
    rows = tuple((name, f"{error:.4f}", f"{error / mean:.2f}") for _, name, error in found)
    best = int(np.argmin([error for *_, error in found]))
    return Table(("model", "test error", "× mean image"), rows, (None, best, best))


def _samples_table(result: VaeResult) -> Table:
    rows = tuple(
        (score.name, f"{score.distance:.2f}", "" if score.read is None else f"{score.read:.0%}")
        for score in result.scores
    )
    sampled = [number for number, score in enumerate(result.scores) if score.way in ("normal", "mixture")]
    nearest = min(sampled, key=lambda number: result.scores[number].distance)
    read = max(sampled, key=lambda number: result.scores[number].read or 0.0)
    return Table(("images", "distance", "read as meant"), rows, (None, nearest, read))


def vae_lab_report(result: VaeResult, path: str | os.PathLike[str]) -> None:
    """Write the report of the lab: one HTML file with its numbers, what they say, and pictures.

    Parameters
    ----------
    result : VaeResult
        A lab that has been run.
    path : path-like
        The file.

    Raises
    ------
    DataError
        If matplotlib is missing or the file cannot be written.

    Examples
    --------
    >>> from narrows.labs import run_vae_lab
    >>> from narrows.report import vae_lab_report
    >>> vae_lab_report(run_vae_lab("digits"), "report.html")  # doctest: +SKIP
    """
    require_matplotlib()
    lead = (
        f"{result.n_train:,} images of {result.n_pixels} pixels to fit, {result.n_test:,} to test; codes of "
        f"{result['taught'].n_components} and of {result['narrows'].n_components} numbers; seed {result.seed}."
    )
    title = f"Variational autoencoders: the lab on {'MNIST' if result.data == 'mnist' else result.data}"
    write_report(path, title, vae_sections(result), lead=lead)


def vae_sections(result: VaeResult) -> list[Section]:
    """Return the parts of the report."""
    return [
        Section(
            "What a test image costs",
            "Nats an image, means over the test images: to rebuild it, cross-entropy summed over pixels; KL summed "
            "over the code; their sum, which is the loss; that in bits a pixel; and the cost by "
            "importance sampling, which is nearer to what the loss bounds. The best of a column is bold.",
            table=_loss_table(result),
        ),
        Section("What the numbers say", items=result.lessons),
        *_training_sections(result),
        *_code_sections(result),
        *_sampling_sections(result),
        Section("How it was done", items=(*_models(result), *result.notes)),
        Section("The data", result.source),
    ]


def _models(result: VaeResult) -> tuple[str, ...]:
    return tuple(f"{entry.name}: {entry.description}." for entry in result.entries)


def _training_sections(result: VaeResult) -> list[Section]:
    shown, names = result.exhibits, {entry.key: entry.name for entry in result.entries}
    models = shown.models
    return [
        Section(
            "Training",
            figure=lambda theme: plot_losses({names[key]: models[key] for key in ("taught", "narrows")}, theme=theme),
            caption="The loss and its two parts while training, on training rows and on held-out ones. As taught, the "
            "KL has its whole weight from the start; narrows raises its weight over the first "
            f"{models['narrows'].kl_warmup:.0%} of the training, and codes are free at first. Dotted: the cost under a "
            "model of independent pixels.",
        ),
        Section(
            "Images and what is left of them",
            "Squared error per pixel of test images rebuilt from their codes, of variational autoencoders from the "
            "means. The loss of a variational one is another: it pays for codes as well.",
            table=_rebuilding_table(result),
            figure=lambda theme: plot_reconstructions(
                shown.images, {names[key]: model for key, model in models.items()}, shape=result.shape, theme=theme
            ),
            caption="The first test images, and the same images as each model rebuilds them.",
        ),
    ]


def _code_sections(result: VaeResult) -> list[Section]:
    shown = result.exhibits
    taught, small, large = (shown.models[key] for key in ("taught", "small", "narrows"))
    firsts, lasts = _pairs(result)
    return [
        Section(
            "All that two numbers can draw",
            figure=lambda theme: plot_manifold(taught, theme=theme),
            caption="Codes of two numbers on a grid, each decoded as taught. The grid has the quantiles of the normal "
            "prior, so each image stands for as large a share of what sampling gives.",
        ),
        Section(
            "The same, narrows",
            figure=lambda theme: plot_manifold(small, theme=theme),
            caption="The same grid, decoded by narrows' own fit of two numbers.",
        ),
        Section(
            "Maps of the codes",
            figure=lambda theme: plot_code_map(
                {result[key].name: shown.models[key].transform(shown.images) for key in ("taught", "small")},
                shown.labels,
                theme=theme,
            ),
            caption=f"The mean codes of {len(shown.images):,} test images, two numbers each, by digit. The networks "
            "were told of no digits.",
        ),
        Section(
            "From one image to another",
            figure=lambda theme: plot_interpolation(large, firsts, lasts, theme=theme),
            caption=f"Test images left and right; between them what narrows decodes from {_numbers(result)} on the way "
            "from the code of one to that of the other, on a straight line and on a great circle.",
        ),
        Section(
            "One number at a time",
            figure=lambda theme: plot_samples(_traversed(result), rows=True, theme=theme),
            caption=f"The code of the first test image with one of its {_numbers(result)} set to values from -3 to 3: "
            "those whose means vary most over the test images, a row for each.",
        ),
    ]


def _sampling_sections(result: VaeResult) -> list[Section]:
    shown, seed = result.exhibits, result.seed
    models, large = shown.models, shown.models["narrows"]

    def sampled(key: str) -> dict[str, np.ndarray]:
        model = models[key]
        return {
            f"{result[key].name}: {words}": model.sample(_SAMPLED, prior=prior, random_state=seed)
            for prior, words in (("normal", "normal prior"), ("mixture", "mixture"))
        }

    def by_digit() -> dict[str, np.ndarray]:
        return {str(digit): large.sample(_BY_LABEL, y=digit, random_state=seed) for digit in large.classes_}

    return [
        Section(
            "Sampled images, by numbers",
            "How far images from each source are from the test images: the Fréchet distance of what a small classifier "
            "sees in them. Read as meant: the share of images sampled for a digit that the classifier takes for it; of "
            "real ones, the share of test images that it names rightly. The best of the sampled ones is bold.",
            table=_samples_table(result),
        ),
        Section(
            "Sampled images, as taught",
            figure=lambda theme: plot_samples(sampled("taught"), n_images=_SAMPLED, theme=theme),
            caption="Codes drawn from the normal prior that training pulls them to, and from a mixture fitted to the "
            "codes afterwards.",
        ),
        Section(
            "Sampled images, narrows",
            figure=lambda theme: plot_samples(sampled("narrows"), n_images=_SAMPLED, theme=theme),
            caption=f"The same from {_numbers(result)}. Nothing was chosen by hand.",
        ),
        Section(
            "Sampled by digit",
            figure=lambda theme: plot_samples(by_digit(), rows=True, theme=theme),
            caption="Codes drawn from the mixture of one digit, a row for each.",
        ),
    ]


def _traversed(result: VaeResult) -> dict[str, np.ndarray]:
    """Return images along the numbers of narrows' larger code that are used most."""
    shown = result.exhibits
    model = shown.models["narrows"]
    used = np.argsort(-model.transform(shown.images).var(0), kind="stable")[:_TRAVERSED]
    return {f"number {component + 1}": model.traverse(shown.images[0], int(component)) for component in used}


def _pairs(result: VaeResult) -> tuple[np.ndarray, np.ndarray]:
    """Return the first test image of each of a few digits, and of those they are to become."""
    shown = result.exhibits
    first = {digit: shown.images[int(np.flatnonzero(shown.labels == digit)[0])] for digit in range(10)}
    return np.stack([first[a] for a, _ in _PAIRS]), np.stack([first[b] for _, b in _PAIRS])


def _numbers(result: VaeResult) -> str:
    return f"{result['narrows'].n_components} numbers"

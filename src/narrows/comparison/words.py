"""A comparison in words: the verdict, the course's table, the summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.comparison.result import METHODS

if TYPE_CHECKING:
    from narrows.comparison.result import Comparison, Measured
    from narrows.report.html import Table

__all__ = ["course_table", "summary", "summary_table", "verdict", "worth_it"]

WORTH = 0.9
"""An autoencoder must leave at most this share of PCA's error to be worth its cost."""

SURE = 2.0
"""In standard errors of the mean over held-out rows."""


def worth_it(comparison: Comparison, size: int) -> bool:
    """Say whether the autoencoder's error is at most nine tenths of PCA's, and that not by chance."""
    ours, theirs = (comparison.exhibits.errors[method, size] for method in ("autoencoder", "pca"))
    gain = WORTH * theirs - ours
    if len(gain) < 2:
        return False
    return (
        float(gain.mean()) > 0
        and float((theirs - ours).mean()) > SURE * float((theirs - ours).std()) / len(gain) ** 0.5
    )


def verdict(comparison: Comparison) -> str:
    """Say in a few plain sentences what the comparison comes to."""
    sizes = comparison.sizes
    ratios = {size: _ratio(comparison, size) for size in sizes}
    worth = [size for size in sizes if worth_it(comparison, size)]
    sentences = []
    if not worth:
        best = min(sizes, key=lambda size: ratios[size])
        what = f"{ratios[best]:.2f} of PCA's error, with {_numbers(best)}"
        sentences.append(
            "PCA is enough here: at no size does the autoencoder surely leave a tenth less error. "
            + (f"At best it leaves {what}." if ratios[best] < 1 else "It leaves no less error at any size.")
        )
    else:
        best = min(worth, key=lambda size: ratios[size])
        where = "at every size" if len(worth) == len(sizes) else f"with {_listed(worth)}"
        gain = f"it leaves {ratios[best]:.2f} of PCA's error, {_as_pca(comparison, best)}"
        sentences.append(f"The autoencoder is worth it {where}: with {_numbers(best)} {gain}.")
        rest = [size for size in sizes if size not in worth]
        if rest:
            sentences.append(f"With {_listed(rest)} PCA is enough.")
        sentences.append(_cost(comparison))
    return " ".join([*sentences, *_on_codes(comparison)])


def _ratio(comparison: Comparison, size: int) -> float:
    theirs = comparison["pca", size].error
    ours = comparison["autoencoder", size].error
    return ours / theirs if theirs > 0 else 1.0


def _numbers(size: int) -> str:
    return f"{size} number{'s' * (size != 1)}"


def _listed(sizes: list[int]) -> str:
    texts = [str(size) for size in sizes]
    listed = texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " or " + texts[-1]
    return f"{listed} number{'s' * (sizes != [1])}"


def _as_pca(comparison: Comparison, size: int) -> str:
    """Say how many numbers PCA needs for the same error."""
    error = comparison["autoencoder", size].error
    enough = np.flatnonzero(comparison.exhibits.pca_curve <= error)
    if len(enough):
        return f"as little as PCA with {_numbers(int(enough[0]) + 1)}"
    return f"less than PCA with {_numbers(len(comparison.exhibits.pca_curve))}"


def _cost(comparison: Comparison) -> str:
    ours, theirs = _fit_seconds(comparison, "autoencoder"), _fit_seconds(comparison, "pca")
    return f"It took {_time(ours)} to fit, PCA {_time(theirs)}."


def _fit_seconds(comparison: Comparison, method: str) -> float:
    entries = [entry for entry in comparison.results if entry.method == method]
    return entries[0].fit_seconds if entries[0].shared_fit else sum(entry.fit_seconds for entry in entries)


def _time(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def _on_codes(comparison: Comparison) -> list[str]:
    """Say how classifiers do on the codes, where there are labels."""
    size = comparison.sizes[-1]
    sentences = []
    for attribute, name in (("neighbour_accuracy", "nearest neighbours"), ("linear_accuracy", "a linear classifier")):
        ours, theirs = (getattr(comparison[method, size], attribute) for method in ("autoencoder", "pca"))
        if ours is None or theirs is None:
            return []
        mean = (ours + theirs) / 2
        chance = SURE * (2 * mean * (1 - mean) / max(1, comparison.exhibits.n_classified)) ** 0.5
        how = "as well as" if abs(ours - theirs) <= chance else "better than" if ours > theirs else "worse than"
        verb = "do" if name.endswith("s") else "does"
        sentences.append(f"{name} {verb} {how} on PCA's ({ours:.3f} against {theirs:.3f})")
    return [f"On its codes of {_numbers(size)}, {' and '.join(sentences)}."]


def summary_table(comparison: Comparison, *, brief: bool = False) -> Table:
    """Return the numbers as a table: a row for each size and method; ``brief`` to fit a terminal."""
    from narrows.report.html import Table

    labelled = comparison.results[0].neighbour_accuracy is not None
    head = ["code", "method", "error", "× PCA", "explained", "fit, s", "encode 1,000 rows, ms", "on disk, kB", "trust"]
    head += ["5 neighbours", "linear"] * labelled
    rows = []
    for size in comparison.sizes:
        for method in METHODS:
            entry = comparison[method, size]
            rows.append(_cells(entry, comparison["pca", size].error, labelled=labelled))
    if not brief:
        return Table(tuple(head), tuple(rows))
    head = [{"5 neighbours": "5-NN", "explained": "expl."}.get(name, name) for name in head]
    kept = [number for number, name in enumerate(head) if not name.startswith(("encode", "on disk"))]
    return Table(tuple(head[k] for k in kept), tuple(tuple(row[k] for k in kept) for row in rows))


def _cells(entry: Measured, pca: float, *, labelled: bool) -> tuple[str, ...]:
    cells = [
        str(entry.n_components),
        METHODS[entry.method],
        f"{entry.error:.4g}",
        f"{entry.error / pca:.2f}" if pca > 0 else "",
        f"{entry.explained:.1%}",
        f"{entry.fit_seconds:.2g}" + "*" * entry.shared_fit
        if entry.fit_seconds < 10
        else f"{entry.fit_seconds:.0f}" + "*" * entry.shared_fit,
        f"{1000 * entry.transform_seconds:.2g}",
        f"{entry.bytes / 1000:,.0f}",
        f"{entry.trustworthiness:.3f}",
    ]
    if labelled:
        cells += [f"{entry.neighbour_accuracy:.3f}", f"{entry.linear_accuracy:.3f}"]
    return tuple(cells)


def summary(comparison: Comparison) -> str:
    """Return the table and the verdict as text."""
    table = summary_table(comparison, brief=True)
    rows = [table.columns, *table.rows]
    widths = [max(len(row[number]) for row in rows) for number in range(len(table.columns))]

    def line(row: tuple[str, ...]) -> str:
        cells = (
            cell.ljust(w) if k == 1 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    shared = "* one fit for all sizes"
    return "\n".join(
        [*map(line, rows), *([shared] if any("*" in row[5] for row in rows) else []), "", comparison.verdict]
    )


def course_table(comparison: Comparison) -> dict[str, dict[str, str]]:
    """Fill in the table that courses draw up of PCA and autoencoders."""
    size = comparison.sizes[-1]
    d = comparison.n_features
    entries = {method: comparison[method, size] for method in METHODS}
    steps = entries["linear"].steps or 0
    own = comparison.models["autoencoder", size]
    layers = "convolutions" if type(own.network).__name__ == "Convolutional" else "layers"
    ratios = {k: _ratio(comparison, k) for k in comparison.sizes}
    low, high = min(ratios.values()), max(ratios.values())
    linear = [comparison["linear", k].error / max(comparison["pca", k].error, 1e-300) for k in comparison.sizes]
    return {
        "transform": {
            "pca": f"linear: a {d} × {size} matrix",
            "linear": f"linear: a {d} × {size} matrix, and another for the way back",
            "autoencoder": f"nonlinear: the matrix of PCA and {layers} that correct it"
            if getattr(own, "stayed_linear_", False) is False
            else "linear here: held-out rows saw no gain in leaving PCA",
        },
        "how it is computed": {
            "pca": f"exactly, from the {d} × {d} covariance matrix",
            "linear": f"by {steps:,} steps of gradient descent from a random start",
            "autoencoder": f"by {entries['autoencoder'].steps or 0:,} steps of gradient descent from PCA",
        },
        "cost": {method: _cost_cell(comparison, entries[method]) for method in METHODS},
        "interpretability": {
            "pca": "each number is a weighted sum of the columns, uncorrelated with the others, the largest first: see "
            "the loadings",
            "linear": "each number is a weighted sum, but any mixture of them serves as well: they have no order",
            "autoencoder": "what a number does depends on the others: see the responses"
            + ("; the numbers are in order" if getattr(own, "ordered", False) else ""),
        },
        "flexibility": {
            "pca": "straight directions only",
            "linear": f"the same as PCA: {min(linear):.2f} to {max(linear):.2f} of its error",
            "autoencoder": f"curved surfaces: {low:.2f} to {high:.2f} of PCA's error",
        },
    }


def _cost_cell(comparison: Comparison, entry: Measured) -> str:
    seconds = _fit_seconds(comparison, entry.method)
    fits = "one fit" if entry.shared_fit or len(comparison.sizes) == 1 else f"{len(comparison.sizes)} fits"
    encode = 1000 * entry.transform_seconds
    return f"{_time(seconds)} ({fits}), {entry.parameters:,} numbers, {encode:.2g} ms for 1,000 rows"

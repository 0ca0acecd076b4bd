"""What a comparison gives: the numbers, a verdict, tables, a figure and a page."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.comparison.measure import METHODS, FittedMethod, MethodResult
from narrows.comparison.page import plot_comparison, write_comparison_report
from narrows.data.libraries import frame_of
from narrows.report.html import Table, render_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Comparison", "ComparisonArtifacts"]

WORTH = 0.9
"""An autoencoder must leave at most this fraction of PCA's error to be worth its cost."""

SIGNIFICANT = 2.0
"""In standard errors of a mean over held-out rows."""


@dataclass(frozen=True, eq=False)
class ComparisonArtifacts:
    """What the page shows beside the numbers: some held-out rows, how methods encode them, and errors of each row."""

    rows: np.ndarray
    labels: np.ndarray | None
    fits: dict[tuple[str, int], FittedMethod]
    errors: dict[tuple[str, int], np.ndarray]
    pca_curve: np.ndarray
    feature_names: list[str] | None
    image_shape: tuple[int, int, int] | None
    n_held_out: int
    n_classified: int


@dataclass(frozen=True)
class Comparison:
    """PCA, a linear autoencoder and narrows' autoencoder on the same held-out rows.

    Attributes
    ----------
    results : tuple of MethodResult
        Every method at every size.
    notes : tuple of str
        How it was measured, a sentence each.
    n_train, n_features : int
        Rows fitted to, and columns.
    models : dict of (str, int) to estimator
        The fitted models; of an ordered autoencoder the same one at every size.
    artifacts : ComparisonArtifacts
        What the page shows.
    """

    results: tuple[MethodResult, ...]
    notes: tuple[str, ...]
    n_train: int
    n_features: int
    models: dict[tuple[str, int], Any] = field(repr=False, compare=False)
    artifacts: ComparisonArtifacts = field(repr=False, compare=False)

    def __getitem__(self, key: tuple[str, int]) -> MethodResult:
        """Return what was measured of a method at a size: ``comparison["pca", 8]``."""
        for result in self.results:
            if (result.method, result.n_components) == key:
                return result
        raise KeyError(key)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes compared."""
        return tuple(sorted({result.n_components for result in self.results}))

    def worth_it(self, size: int) -> bool:
        """Say whether the autoencoder leaves at most nine tenths of PCA's error, and that not by chance."""
        ours, theirs = (self.artifacts.errors[method, size] for method in ("autoencoder", "pca"))
        gain, n_rows = theirs - ours, len(ours)
        if n_rows < 2 or not float((WORTH * theirs - ours).mean()) > 0:
            return False
        return float(gain.mean()) > SIGNIFICANT * float(gain.std()) / n_rows**0.5

    @property
    def verdict(self) -> str:
        """What it comes to, in a few plain sentences; that PCA is enough may be one."""
        ratios = {size: self._ratio("autoencoder", size) for size in self.sizes}
        worth = [size for size in self.sizes if self.worth_it(size)]
        best = min(worth or self.sizes, key=lambda size: ratios[size])
        if not worth:
            sentences = [
                "PCA is enough here: at no size does the autoencoder leave significantly less error by a tenth."
            ]
            if ratios[best] < 1:
                sentences.append(f"At best it leaves {ratios[best]:.2f} of PCA's error, with {_numbers([best])}.")
            else:
                sentences.append("It leaves no less error at any size.")
            return " ".join([*sentences, *self._on_codes()])
        where = "at every size" if len(worth) == len(self.sizes) else f"with {_numbers(worth)}"
        gain = f"it leaves {ratios[best]:.2f} of PCA's error, {self._as_pca(best)}"
        sentences = [f"The autoencoder is worth it {where}: with {_numbers([best])} {gain}."]
        if rest := [size for size in self.sizes if size not in worth]:
            sentences.append(f"With {_numbers(rest)} PCA is enough.")
        ours, theirs = (_seconds(self._fit_seconds(method)) for method in ("autoencoder", "pca"))
        sentences.append(f"It took {ours} to fit, PCA {theirs}.")
        return " ".join([*sentences, *self._on_codes()])

    def _ratio(self, method: str, size: int) -> float:
        pca = self["pca", size].error
        return self[method, size].error / pca if pca > 0 else 1.0

    def _as_pca(self, size: int) -> str:
        """Say how many components PCA needs for the same error."""
        curve = self.artifacts.pca_curve
        enough = np.flatnonzero(curve <= self["autoencoder", size].error)
        if len(enough):
            return f"as little as PCA with {_numbers([int(enough[0]) + 1])}"
        return f"less than PCA with {_numbers([len(curve)])}"

    def _fit_seconds(self, method: str) -> float:
        results = [result for result in self.results if result.method == method]
        return results[0].fit_seconds if results[0].shared_fit else sum(result.fit_seconds for result in results)

    def _on_codes(self) -> list[str]:
        """Say how classifiers do on the codes, where there are labels that can tell."""
        size = self.sizes[-1]
        ours, theirs = self["autoencoder", size], self["pca", size]
        base = ours.majority_accuracy
        if base is None:
            return []
        if ours.neighbour_accuracy is None:
            why = "the training rows are of one class" if base > 0.5 else "hardly two rows share a class"
            return [f"The labels cannot tell codes apart: {why} (the commonest has {base:.3f} of the rows)."]
        told, useful = [], False
        for name, verb in (
            ("neighbour_accuracy", "nearest neighbours do"),
            ("linear_accuracy", "a linear classifier does"),
        ):
            one, other = getattr(ours, name), getattr(theirs, name)
            useful |= max(one, other) - base > self._by_chance(max(one, other), base)
            same = abs(one - other) <= self._by_chance(one, other)
            how = "as well as" if same else "better than" if one > other else "worse than"
            told.append(f"{verb} {how} on PCA's ({one:.3f} against {other:.3f})")
        if not useful:
            always = f"always saying the commonest class ({base:.3f})"
            return [
                f"The labels cannot tell codes apart: no classifier on them does significantly better than {always}."
            ]
        return [f"On its codes of {_numbers([size])}, {' and '.join(told)}; the commonest class has {base:.3f}."]

    def _by_chance(self, one: float, other: float) -> float:
        """Return how far two accuracies may be apart by chance."""
        mean = (one + other) / 2
        return SIGNIFICANT * (2 * mean * (1 - mean) / max(1, self.artifacts.n_classified)) ** 0.5

    @property
    def course_table(self) -> dict[str, dict[str, str]]:
        """The table that courses draw up, filled with what was measured: a row for each aspect, by method."""
        size, d = self.sizes[-1], self.n_features
        linear, own = self["linear", size], self["autoencoder", size]
        model = self.models["autoencoder", size]
        layers = "convolutions" if type(model.network).__name__ == "Convolutional" else "layers"
        ratios = {method: [self._ratio(method, k) for k in self.sizes] for method in METHODS}
        spans = {method: f"{min(found):.2f} to {max(found):.2f}" for method, found in ratios.items()}
        return {
            "transform": {
                "pca": f"linear: a {d} × {size} matrix",
                "linear": f"linear: a {d} × {size} matrix, and another for the way back",
                "autoencoder": f"nonlinear: the matrix of PCA and {layers} that correct it"
                if getattr(model, "stayed_linear_", False) is False
                else "linear here: held-out rows saw no gain in leaving PCA",
            },
            "how it is computed": {
                "pca": f"exactly, from the {d} × {d} covariance matrix",
                "linear": f"by {linear.steps or 0:,} steps of gradient descent from a random start",
                "autoencoder": f"by {own.steps or 0:,} steps of gradient descent from PCA",
            },
            "cost": {method: self._cost(self[method, size]) for method in METHODS},
            "interpretability": {
                "pca": "each component is a weighted sum of the columns, uncorrelated with the others, the largest "
                "first: see the loadings",
                "linear": "each component is a weighted sum, but any mixture serves as well: they have no order",
                "autoencoder": "what a component does depends on the others: see the responses"
                + ("; they are in order" if getattr(model, "ordered", False) else ""),
            },
            "flexibility": {
                "pca": "straight directions only",
                "linear": f"the same as PCA: {spans['linear']} of its error",
                "autoencoder": f"curved surfaces: {spans['autoencoder']} of PCA's error",
            },
        }

    def _cost(self, result: MethodResult) -> str:
        fits = "one fit" if result.shared_fit or len(self.sizes) == 1 else f"{len(self.sizes)} fits"
        encode = f"{1000 * result.transform_seconds:.2g} ms for 1,000 rows"
        return f"{_seconds(self._fit_seconds(result.method))} ({fits}), {result.parameters:,} parameters, {encode}"

    def summary_table(self, *, brief: bool = False) -> Table:
        """Return the numbers as a table of texts: a row for each size and method; ``brief`` to fit a terminal."""
        columns: dict[str, list[str]] = {}
        for size in self.sizes:
            for method in METHODS:
                for name, cell in self._cells(self[method, size], brief=brief).items():
                    columns.setdefault(name, []).append(cell)
        return Table(tuple(columns), tuple(zip(*columns.values(), strict=True)))

    def _cells(self, result: MethodResult, *, brief: bool) -> dict[str, str]:
        seconds = result.fit_seconds
        pca = self["pca", result.n_components].error
        cells = {
            "code": str(result.n_components),
            "method": METHODS[result.method],
            "error": f"{result.error:.4g}",
            "× PCA": f"{result.error / pca:.2f}" if pca > 0 else "",
            "expl." if brief else "explained": f"{result.explained:.1%}",
            "fit, s": (f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}") + "*" * result.shared_fit,
        }
        if not brief:
            cells["encode 1,000 rows, ms"] = f"{1000 * result.transform_seconds:.2g}"
            cells["on disk, kB"] = f"{result.bytes / 1000:,.0f}"
        cells["trust"] = f"{result.trustworthiness:.3f}"
        if result.neighbour_accuracy is not None:
            cells["5-NN" if brief else "5 neighbours"] = f"{result.neighbour_accuracy:.3f}"
            cells["linear"] = f"{result.linear_accuracy:.3f}"
            cells["commonest" if brief else "commonest class"] = f"{result.majority_accuracy:.3f}"
        return cells

    def to_dict(self) -> dict[str, Any]:
        """Return all but the models and artifacts as plain values, ready for JSON."""
        return {
            "n_train": self.n_train,
            "n_held_out": self.artifacts.n_held_out,
            "n_features": self.n_features,
            "results": [asdict(result) for result in self.results],
            "verdict": self.verdict,
            "course_table": self.course_table,
            "notes": list(self.notes),
        }

    def to_frame(self) -> Any:
        """Return a pandas frame with a row for each method and size."""
        rows = [asdict(result) for result in self.results]
        return frame_of({name: [row[name] for row in rows] for name in rows[0]}, "pandas")

    def plot(self, theme: str = "light") -> Figure:
        """Draw error against size, and accuracy where there are labels; see :func:`plot_comparison`."""
        return plot_comparison(self, theme=theme)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write all of it to ``path`` as one HTML page that needs nothing else."""
        write_comparison_report(self, path)

    def __str__(self) -> str:
        table = self.summary_table(brief=True)
        rows = [table.columns, *table.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            cells = zip(row, widths, table.columns, strict=True)
            line = "  ".join(c.ljust(w) if name == "method" else c.rjust(w) for c, w, name in cells)
            lines.append(line.rstrip())
        if any(result.shared_fit for result in self.results):
            lines.append("* one fit for all sizes")
        return "\n".join([*lines, "", self.verdict])

    def _repr_html_(self) -> str:
        return render_table(self.summary_table())


def _numbers(sizes: list[int]) -> str:
    """Return "1 component", "2 or 4 components" and the like."""
    texts = [str(size) for size in sizes]
    listed = texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " or " + texts[-1]
    return f"{listed} component{'s' * (sizes != [1])}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"

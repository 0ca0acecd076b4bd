"""What a comparison gives: numbers, a verdict, and the faces it can show."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from narrows.errors import DataError

if TYPE_CHECKING:
    import os

    import numpy as np
    from matplotlib.figure import Figure

__all__ = ["METHODS", "Comparison", "Exhibits", "Measured"]

METHODS = {"pca": "PCA", "linear": "linear autoencoder", "autoencoder": "autoencoder"}


@dataclass(frozen=True)
class Measured:
    """One method with a code of one size, measured on held-out rows.

    Attributes
    ----------
    method : str
        ``"pca"``, ``"linear"`` or ``"autoencoder"``.
    n_components : int
        Numbers in the code.
    error : float
        Mean squared error per value, in the data's units; with ``scaling="standard"`` in standard deviations.
    explained : float
        Share of the variance about the mean of the training rows that the reconstruction explains, at most 1.
    fit_seconds : float
        Time of the fit that this model came from; see ``shared_fit``. Does not count when results are compared.
    shared_fit : bool
        Whether one fit gave the models of all sizes, so that its time counts once.
    transform_seconds : float
        Time to encode 1,000 rows.
    bytes : int
        Size of the model on disk. Does not count either: a model file holds its own times.
    parameters : int
        Numbers in the model.
    steps : int or None
        Training steps, for networks.
    trustworthiness : float
        Share of neighbourhoods that the code keeps, 0 to 1 (Venna and Kaski 2001), of 10 neighbours.
    neighbour_accuracy, linear_accuracy : float or None
        Share of held-out rows that a classifier on the codes names rightly: the 5 nearest neighbours, and logistic
        regression.
    """

    method: str
    n_components: int
    error: float
    explained: float
    fit_seconds: float = field(compare=False)
    shared_fit: bool
    transform_seconds: float = field(compare=False)
    bytes: int = field(compare=False)
    parameters: int
    steps: int | None
    trustworthiness: float
    neighbour_accuracy: float | None = None
    linear_accuracy: float | None = None


@dataclass(frozen=True, eq=False)
class Exhibits:
    """What the page shows beside the numbers.

    Attributes
    ----------
    rows : ndarray of shape (n, n_features)
        Some held-out rows.
    labels : ndarray of shape (n,) or None
        Their classes, where these are known.
    fits : dict of (str, int) to Fit
        How each method encodes and decodes at each size.
    errors : dict of (str, int) to ndarray
        Error of each held-out row, by method and size.
    pca_curve : ndarray
        Error of PCA with 1, 2, 3, … numbers.
    feature_names : list of str or None
        Names of the columns.
    image_shape : tuple of int or None
        Height, width and channels, where rows are images.
    n_held_out, n_classified : int
        Held-out rows, and how many of them classifiers were tried on.
    """

    rows: np.ndarray
    labels: np.ndarray | None
    fits: dict[tuple[str, int], Any]
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
    results : tuple of Measured
        Every method at every size.
    notes : tuple of str
        How it was measured, a sentence each.
    n_train, n_features : int
        Rows fitted to, and columns.
    models : dict of (str, int) to estimator
        The fitted models; of an ordered autoencoder the same one at every size.
    exhibits : Exhibits
        What the page shows.
    """

    results: tuple[Measured, ...]
    notes: tuple[str, ...]
    n_train: int
    n_features: int
    models: dict[tuple[str, int], Any] = field(repr=False, compare=False)
    exhibits: Exhibits = field(repr=False, compare=False)

    def __getitem__(self, key: tuple[str, int]) -> Measured:
        """Return what was measured of a method at a size: ``comparison["pca", 8]``."""
        for entry in self.results:
            if (entry.method, entry.n_components) == key:
                return entry
        raise KeyError(key)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes compared."""
        return tuple(sorted({entry.n_components for entry in self.results}))

    @property
    def verdict(self) -> str:
        """What it comes to, in a few plain sentences; that PCA is enough may be one."""
        from narrows.comparison.words import verdict

        return verdict(self)

    @property
    def course_table(self) -> dict[str, dict[str, str]]:
        """The table that courses draw up, filled with what was measured: a row for each aspect, by method."""
        from narrows.comparison.words import course_table

        return course_table(self)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the models and pictures as plain values, ready for JSON."""
        return {
            "n_train": self.n_train,
            "n_held_out": self.exhibits.n_held_out,
            "n_features": self.n_features,
            "results": [asdict(entry) for entry in self.results],
            "verdict": self.verdict,
            "course_table": self.course_table,
            "notes": list(self.notes),
        }

    def to_frame(self) -> Any:
        """Return a pandas frame with a row for each method and size.

        Raises
        ------
        DataError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise DataError('Frames need pandas, which is not installed: pip install "narrows[frames]".') from error
        return pd.DataFrame([asdict(entry) for entry in self.results])

    def plot(self, theme: str = "light") -> Figure:
        """Draw error against size, and accuracy where there are labels; see ``narrows.report.plot_comparison``."""
        from narrows.report.comparison import plot_comparison

        return plot_comparison(self, theme=theme)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write all of it as one HTML page.

        Parameters
        ----------
        path : path-like
            The file.
        """
        from narrows.report.comparison import comparison_report

        comparison_report(self, path)

    def __str__(self) -> str:
        from narrows.comparison.words import summary

        return summary(self)

    def _repr_html_(self) -> str:
        from narrows.comparison.words import summary_table
        from narrows.report.html import render_table

        return render_table(summary_table(self))

"""The anomaly detector as a scikit-learn outlier detector."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import _check_feature_names, _check_n_features, check_is_fitted

from narrows.anomaly import filing, thresholds
from narrows.anomaly.explaining import Explainer, expected_values
from narrows.anomaly.fitting import PARTS, Options, fit_mixed, fit_ordinary
from narrows.autoencoder import Autoencoder
from narrows.data.categories import FrameColumns
from narrows.data.inputs import ValidatedInput, validate_rows
from narrows.data.rows import ArrayRows, sample_rows
from narrows.errors import DataError
from narrows.estimator.inference import apply_in_blocks
from narrows.validation import check_number, resolve_device, resolve_seed

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from narrows.anomaly.fitting import Scoring
    from narrows.data.rows import Rows

__all__ = ["AnomalyDetector"]

MOST_ROWS, MOST_MIXED_ROWS = 100_000, 20_000
"""Rows that are fitted to at most, chosen by chance: without anomalies among them, and with."""


class AnomalyDetector(OutlierMixin, BaseEstimator):
    """Find the rows that are unlike those it was fitted to, say how sure that is, and which columns are to blame.

    A small denoising autoencoder learns how the columns of a table go together: it is shown rows some of whose values
    were swapped with those of other rows, and gives back the right ones. A row is then described by its values and by
    how far each is from what the autoencoder makes of it, and its score is how far it is, so described, from the
    nearest rows of the fit, relative to what is usual there. Scores are in spreads of ordinary rows: 0 for a typical
    one.

    Tables are taken as they come: unscaled, with heavy tails, constant or duplicate columns, missing values, and, in a
    pandas or polars frame, categories and truth values.

    Parameters
    ----------
    method : {"auto", "neighbors", "ranks", "reconstruction"} or tuple of these, default "auto"
        What the score is made of; of several it is the largest, each in its own spreads. ``"neighbors"`` is described
        above; ``"ranks"`` is the distance to the nearest rows in a view half of which are the normal scores of ranks,
        for columns with heavy tails; ``"reconstruction"`` is the standardised residual alone, as autoencoders have
        been used. ``"auto"`` is neighbours and ranks, and neighbours alone where ``contamination`` is given.
    contamination : float, "auto" or None, default None
        Whether there are anomalies among the rows of the fit; None takes all of them for ordinary. A share of up to
        0.5 says that so many of them are anomalies, and ``"auto"`` that some are: the strangest are then set aside
        before the final fit, and the threshold is such that this share of the rows of the fit is above it, or for
        ``"auto"`` what lies far outside the bulk of them.
    false_positive_rate : float, default 0.01
        At which rate ordinary rows are to be taken for anomalies by :meth:`predict`. Where ``contamination`` is a
        share, that sets the threshold instead.
    n_neighbors : int or "auto", default "auto"
        How many rows are asked. ``"auto"``: 5, or one in twenty of the rows of the fit where ``contamination`` is
        given, since anomalies among them may lie together.
    n_reference : int, default 10,000
        How many rows of the fit are kept to compare with, at most; chosen by chance.
    autoencoder : Autoencoder or None, default None
        An unfitted one to use in place of the small one that is trained for half a second.
    device : str, default "auto"
        Where the autoencoder computes.
    random_state : int, RandomState or None, default None
        Chooses rows, and seeds the autoencoder.

    Attributes
    ----------
    autoencoder_ : Autoencoder
        Fitted to the scaled columns.
    offset_ : float
        ``decision_function = score_samples - offset_``.
    n_features_in_ : int
        Columns of the fit.
    feature_names_in_ : ndarray of str
        Their names, where they had any.

    See Also
    --------
    narrows.windows : Turn a series into rows.

    References
    ----------
    Denoising: Vincent et al. 2008. Neighbours: Ramaswamy, Rastogi and Shim 2000, and relative to those of the
    neighbours Breunig et al. 2000. p-values: Bates, Candes, Lei, Romano and Sesia, *Testing for outliers with conformal
    p-values*, 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows import AnomalyDetector
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=500)
    >>> X = np.column_stack([x, 2 * x + 0.1 * rng.normal(size=500), rng.normal(size=500)])
    >>> detector = AnomalyDetector(random_state=0).fit(X)
    >>> strange = np.array([[1.0, -2.0, 0.0]])
    >>> detector.predict(np.vstack([X[:2], strange])).tolist()
    [1, 1, -1]
    >>> detector.explain(strange, top=2)[["column", "seen"]].to_numpy().tolist()
    [['x1', -2.0], ['x0', 1.0]]
    """

    _scoring: Scoring
    _calibration: Tensor
    _form: FrameColumns | None
    _explainer: Explainer | None
    n_features_in_: int

    def __init__(
        self,
        *,
        method: str | tuple[str, ...] = "auto",
        contamination: float | str | None = None,
        false_positive_rate: float = 0.01,
        n_neighbors: int | str = "auto",
        n_reference: int = 10_000,
        autoencoder: Autoencoder | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.method = method
        self.contamination = contamination
        self.false_positive_rate = false_positive_rate
        self.n_neighbors = n_neighbors
        self.n_reference = n_reference
        self.autoencoder = autoencoder
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Fit to rows.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows: ordinary ones, or with ``contamination`` whatever there is. Of more than 100,000 (20,000) so many
            are used, chosen by chance.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        AnomalyDetector
            This object.
        """
        self._check_options()
        given = self._taken(X, reset=True)
        seed = resolve_seed(self.random_state)
        mixed = self.contamination is not None
        rows = sample_rows(given.rows, MOST_MIXED_ROWS if mixed else MOST_ROWS, seed)
        values = torch.cat([_finite(block.double()) for block in rows.blocks(1 << 14)]).numpy()
        options = self._options(seed)
        if mixed:
            share = None if isinstance(self.contamination, str) else float(self.contamination)  # type: ignore[arg-type]
            self._scoring, scores = fit_mixed(values, share, options)
        else:
            self._scoring, scores = fit_ordinary(values, options)
        self.autoencoder_ = self._scoring.rebuilder.autoencoder
        self._calibration = scores.sort().values
        self._explainer = None
        self.offset_ = self._threshold(rows)
        return self

    def _check_options(self) -> None:
        parts = self._parts()
        if not parts or any(part not in PARTS for part in parts):
            known = ", ".join(map(repr, ("auto", *PARTS)))
            raise ValueError(f"method must be one of {known}, or some of them, got {self.method!r}")
        check_number("n_neighbors", self.n_neighbors, integer=True, low=1, auto=True)
        check_number("n_reference", self.n_reference, integer=True, low=2)
        check_number("false_positive_rate", self.false_positive_rate, low=0, high=1, open_low=True)
        share = self.contamination
        number = isinstance(share, numbers.Real) and not isinstance(share, bool)
        if not (share is None or share == "auto" or (number and 0 < float(share) <= 0.5)):
            raise ValueError(f"contamination must be a share above 0 and at most 0.5, 'auto' or None, got {share!r}")
        if self.autoencoder is not None and not isinstance(self.autoencoder, Autoencoder):
            raise TypeError(f"autoencoder must be an Autoencoder or None, got {self.autoencoder!r}")

    def _parts(self) -> tuple[str, ...]:
        if isinstance(self.method, str) and self.method == "auto":
            return ("neighbors", "ranks") if self.contamination is None else ("neighbors",)
        return tuple(self.method) if isinstance(self.method, (tuple, list)) else (self.method,)

    def _options(self, seed: int) -> Options:
        resolve_device(self.device)
        return Options(
            parts=self._parts(),
            n_neighbors=None if isinstance(self.n_neighbors, str) else int(self.n_neighbors),
            autoencoder=self.autoencoder,
            levels=() if self._form is None else self._form.sizes,
            remembered=int(self.n_reference),
            seed=seed,
            device=self.device,
        )

    def _threshold(self, rows: Rows) -> float:
        if self.contamination is None:
            return -thresholds.score_at_rate(self._calibration, self.false_positive_rate)
        if isinstance(self.contamination, str):
            return -thresholds.score_far_out(self._calibration, self.false_positive_rate)
        return float(np.percentile(-self._scores(rows), 100 * float(self.contamination)))

    def _taken(self, X: Any, *, reset: bool) -> ValidatedInput:
        """Validate input and take it for rows of numbers, of a frame with categories a column for each of these."""
        form = FrameColumns.learn(X, others=True) if reset else self._form
        if form is None:
            given = validate_rows(self, X, reset=reset, allow_missing=True)
        else:
            values = form.encode(X)
            if len(values) == 0:
                raise DataError("the frame has no rows")
            if np.isinf(values).any():
                raise DataError(f"column {form.value_names[int(np.isinf(values).any(0).argmax())]!r} holds infinity")
            _check_feature_names(self, X, reset=reset)
            _check_n_features(self, X, reset=reset)
            given = ValidatedInput(ArrayRows(values), np.dtype(np.float64), (values.shape[1],))
        self._form = form
        return given

    def _given(self, X: Any) -> Rows:
        check_is_fitted(self, "autoencoder_")
        return self._taken(X, reset=False).rows

    def _scores(self, rows: Rows) -> np.ndarray:
        def score(block: Tensor) -> Tensor:
            return self._scoring.scores(_finite(block.double()))

        return apply_in_blocks(torch.nn.Identity(), rows, score, (), np.dtype(np.float64))

    def anomaly_score(self, X: Any) -> np.ndarray:
        """Say how strange rows are: higher is stranger.

        The same for the same row from call to call, whatever rows come with it.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows; of a file they are read a block at a time.

        Returns
        -------
        ndarray of float64, shape (n,)
            In spreads of ordinary rows: about 0 for a typical one, and above 2 for some 5 % of them, or more where
            columns have heavy tails; :meth:`p_values` say how many. A row of the fit is not compared with itself, but
            one that differs from it a little is compared with it, and scores lower.
        """
        return self._scores(self._given(X))

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus :meth:`anomaly_score`: higher is more ordinary, as scikit-learn has it.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray of float64, shape (n,)
        """
        return -self.anomaly_score(X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return :meth:`score_samples` less ``offset_``: below 0 for rows that :meth:`predict` takes for anomalies.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray of float64, shape (n,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Say of each row whether it is an anomaly, by the threshold of the fit.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray of int, shape (n,)
            -1 for anomalies, 1 for ordinary rows.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> np.ndarray:
        """Say how rare a score like that of each row is among ordinary rows.

        They are conformal: whatever distribution the rows of the fit were drawn from, of new ordinary rows about one in
        a hundred has a p-value of 0.01 or less. (The autoencoders behind the calibration have seen fewer rows than the
        final one, which makes p-values a little larger than they need be.) That is for rows that do not depend on each
        other: of a series, fit to windows that do not overlap. Where ``contamination`` is given no such claim is made:
        anomalies are then among the rows that others are held against, which makes p-values too large.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray of float64, shape (n,)
            At least 1 / (m + 1), where m is the number of rows kept from the fit.
        """
        return thresholds.conformal_p_values(self.anomaly_score(X), self._calibration)

    def detect(self, X: Any, fdr: float = 0.05) -> np.ndarray:
        """Find the anomalies among rows so that only a share of ``fdr`` of what is found is expected to be ordinary.

        Where :meth:`predict` decides on each row by itself, this decides on all of them together.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        fdr : float, default 0.05
            The false discovery rate, by the procedure of Benjamini and Hochberg on :meth:`p_values`. Few rows in the
            fit leave p-values that are not small enough to tell a few anomalies among many rows.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        check_number("fdr", fdr, low=0, high=1, open_low=True)
        return thresholds.benjamini_hochberg(self.p_values(X), float(fdr))

    def explain(self, X: Any, top: int | None = None) -> Any:
        """Say which columns make rows strange, and what was expected there.

        Of each row the column is sought whose value goes least with the others and with what the column usually holds;
        then the next, as if the first were not known; and so on for five columns. So one wrong value is not blamed on
        the columns that were foretold from it.

        Parameters
        ----------
        X : array-like or frame, shape (n, n_features)
            The rows, as a rule a few.
        top : int, optional
            How many columns to tell of each row, all by default.

        Returns
        -------
        pandas.DataFrame
            ``row`` (the frame's index, otherwise a number), ``column``, ``seen`` and ``expected`` in the data's own
            units, ``share`` of what is strange about the row; top columns first.
        """
        if top is not None:
            check_number("top", top, integer=True, low=1)
        rows = self._given(X)
        values = torch.cat([_finite(block.double()) for block in rows.blocks(1 << 14)])
        explainer: Explainer | None = getattr(self, "_explainer", None)
        if explainer is None:
            explainer = self._explainer = Explainer.learn(self._scoring.rebuilder, self._form, self._names())
        return explainer.frame(values, X, top)

    def expected(self, X: Any) -> Any:
        """Say what every value is expected to be, given others of its row: to draw beside what was seen.

        Of a value that is wrong it is what would have been right, as far as the rest of the row tells.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray of float64, shape (n, n_features), or frame
            In the data's units; a frame where the detector was fitted to one with categories.
        """
        rows = self._given(X)
        return expected_values(self._scoring.rebuilder, self._form, rows, self._names(), X)

    def plot_explanation(self, row: Any, *, top: int = 10, ax: Any = None) -> Any:
        """Draw which columns make a row strange; see :func:`narrows.report.plot_explanation`.

        Parameters
        ----------
        row : array-like of shape (n_features,) or (1, n_features), or a frame of one row
            The row.
        top : int, default 10
            How many columns.
        ax : matplotlib axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from narrows.report.anomaly_plots import plot_explanation

        return plot_explanation(self, row, top=top, ax=ax)

    def _names(self) -> list[str]:
        if self._form is not None:
            return self._form.names
        names = getattr(self, "feature_names_in_", None)
        return [f"x{k}" for k in range(self.n_features_in_)] if names is None else [str(name) for name in names]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted detector to one file, whole or not at all; :func:`narrows.load` reads it.

        Parameters
        ----------
        path : path-like
            The file.
        """
        from narrows.estimator.serialization import save

        check_is_fitted(self, "autoencoder_")
        save(self, path)

    def _to_file(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return filing.to_file(self)

    @classmethod
    def _from_file(
        cls, metadata: dict[str, Any], tensors: dict[str, Tensor], *, network: Any, device: str
    ) -> AnomalyDetector:
        return filing.from_file(cls, metadata, tensors, network=network, device=device)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "autoencoder_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags


def _finite(block: Tensor) -> Tensor:
    """Refuse infinite values, which files and frames may hold."""
    infinite = torch.isinf(block)
    if bool(infinite.any()):
        column = int(infinite.any(0).int().argmax())
        raise DataError(f"there are infinite values, the first in column {column} (the first is 0): make them NaN")
    return block

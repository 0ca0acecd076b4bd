"""The anomaly detector as a scikit-learn outlier detector."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.base import OutlierMixin, clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from narrows.anomaly.explainer import Explainer, expected_values
from narrows.anomaly.fitting import DetectorOptions, fit_clean, fit_contaminated
from narrows.anomaly.scorer import DetectorMetadata, Scorer, conformal_p_values, discoveries
from narrows.autoencoder import Autoencoder
from narrows.data.encoding import Encoding
from narrows.data.inputs import ValidatedInput, validate_rows
from narrows.data.output import to_origin
from narrows.data.rows import Rows, apply_in_blocks, sample_rows
from narrows.data.schema import Schema
from narrows.data.source import Origin
from narrows.data.unlike import warn_if_unlike
from narrows.errors import DataError, ModelFileError
from narrows.estimator import state
from narrows.estimator.base import FittedEstimator, atomic_fit
from narrows.report.anomaly_plots import plot_explanation
from narrows.validation import check_number

__all__ = ["AnomalyDetector"]

MOST_ROWS, MOST_CONTAMINATED_ROWS = 100_000, 20_000
"""Rows that are fitted to at most, chosen at random: without anomalies among them, and with."""

AUTOENCODER = "autoencoder."
"""What the names of its tensors begin with in a file."""


class AnomalyDetector(OutlierMixin, FittedEstimator):
    """Find anomalies: rows that are unlike those of the fit; say how sure that is, and which columns make them so.

    A small denoising autoencoder learns how the columns of a table go together: it is shown rows some of whose values
    were swapped with those of other rows, and gives back the right ones. A row is then described by its values and by
    their residuals, how far each is from what the autoencoder makes of it, and its score is the distance, so described,
    to the nearest rows of the fit, relative to what is usual there. Scores are in standard deviations of normal rows: 0
    for a typical one.

    Tables are taken as they come: unscaled, with heavy tails, constant or duplicate columns, missing values, and, in a
    pandas or polars frame, categories and truth values.

    Parameters
    ----------
    method : {"auto", "neighbors", "ranks", "reconstruction"} or tuple of these, default "auto"
        What the score is made of; of several it is the largest, each in its own standard deviations. ``"neighbors"`` is
        described above; ``"ranks"`` is the distance to the nearest rows in a view half of which are the normal scores
        of ranks, for columns with heavy tails; ``"reconstruction"`` is the standardised residual alone, as autoencoders
        have been used. ``"auto"`` is neighbors and ranks, and neighbors alone where ``contamination`` is given.
    contamination : float, "auto" or None, default None
        Whether there are anomalies among the rows of the fit; None takes all of them for normal. A fraction of up to
        0.5 says that so many of them are anomalies, and ``"auto"`` that some are: the most anomalous are then set aside
        before the final fit, and the threshold is such that this fraction of the rows of the fit is above it, or for
        ``"auto"`` what lies far outside the bulk of them.
    false_positive_rate : float, default 0.01
        At which rate normal rows are to be taken for anomalies by :meth:`predict`. Where ``contamination`` is a
        fraction, that sets the threshold instead.
    n_neighbors : int or "auto", default "auto"
        How many neighbours count. ``"auto"``: 5, or one in twenty of the rows of the fit where ``contamination`` is
        given, since anomalies among them may lie together.
    n_reference : int, default 10,000
        How many rows of the fit are kept as the reference set, at most; chosen at random.
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
    calibration_scores_ : ndarray of float64, shape (n_calibration,)
        Rising: scores of rows of the fit as if they were new, which p-values and thresholds come from.
    offset_ : float
        ``decision_function = score_samples - offset_``.
    n_features_in_ : int
        Columns of the fit.
    feature_names_in_ : ndarray of str
        Their names, where they had any.

    See Also
    --------
    narrows.windows : Turn a series into rows.
    narrows.anomaly.write_anomaly_report : What was found, as a page.

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
    >>> anomaly = np.array([[1.0, -2.0, 0.0]])
    >>> detector.predict(np.vstack([X[:2], anomaly])).tolist()
    [1, 1, -1]
    >>> detector.explain(anomaly, top=2)[["column", "seen"]].to_numpy().tolist()
    [['x1', -2.0], ['x0', 1.0]]
    """

    _fitted_attribute = "autoencoder_"
    _metadata = DetectorMetadata
    _scorer: Scorer
    _explainer: Explainer | None
    schema_: Schema
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

    @atomic_fit
    def fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Fit to rows; a fit that fails leaves the detector as it was.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows: normal ones, or with ``contamination`` whatever there is. Of more than 100,000 (20,000) so many
            are used, chosen at random.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        AnomalyDetector
            This object.
        """
        options = DetectorOptions.resolve(self)
        contamination = self.contamination
        most = MOST_ROWS if contamination is None else MOST_CONTAMINATED_ROWS
        rows = sample_rows(self._validated(X, reset=True).rows, most, options.seed)
        values = _in_memory(rows).numpy()
        if (encoding := self._encoding) is not None:
            options = replace(options, block_sizes=encoding.sizes)
        if contamination is None:
            self._scorer = fit_clean(values, options)
            self.offset_ = -self._scorer.threshold_at_rate(self.false_positive_rate)
        elif isinstance(contamination, str):
            self._scorer = fit_contaminated(values, None, options)
            self.offset_ = -self._scorer.threshold_far_out(self.false_positive_rate)
        else:
            self._scorer = fit_contaminated(values, float(contamination), options)
            self.offset_ = float(np.percentile(-self._scores(rows), 100 * float(contamination)))
        self._set_fitted()
        return self

    def _set_fitted(self) -> None:
        self.autoencoder_ = self._scorer.denoiser.autoencoder
        self.calibration_scores_ = self._scorer.calibration.numpy()
        self._explainer = None

    @property
    def _encoding(self) -> Encoding | None:
        """How the columns of a table become numbers; None of a detector that was fitted to an array."""
        return Encoding.learn(self.schema_, others=True) if hasattr(self, "schema_") else None

    def _validated(self, X: Any, *, reset: bool = False) -> ValidatedInput:
        """Validate input and return rows of numbers."""
        if not reset:
            check_is_fitted(self)
        given = validate_rows(self, X, reset=reset, allow_missing=True, others=True)
        if not reset:
            knots, encoding = self._scorer.denoiser.scaler.knots.numpy(), self._encoding
            levels = np.ones(sum(self._scorer.denoiser.scaler.block_sizes))
            low, high = np.append(knots[:, 0], 0 * levels), np.append(knots[:, -1], levels)
            names = getattr(self, "feature_names_in_", None) if encoding is None else encoding.value_names
            warn_if_unlike(given.rows, low, high, names)
        return given

    def _scores(self, rows: Rows) -> np.ndarray:
        def score(block: Tensor) -> Tensor:
            return self._scorer.scores(_finite(block.double()))

        return apply_in_blocks(torch.nn.Identity(), rows, score, (), np.dtype(np.float64))

    def anomaly_score(self, X: Any) -> np.ndarray:
        """Score rows: higher is more anomalous, and the same for the same row, whatever rows come with it.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows; of a file they are read a block at a time.

        Returns
        -------
        ndarray of float64, shape (n,)
            In standard deviations of normal rows: about 0 for a typical one, and above 2 for some 5 % of them, or more
            where columns have heavy tails; :meth:`p_values` say how many. A row of the fit is not compared with itself,
            but one that differs from it a little is compared with it, and scores lower.
        """
        return self._scores(self._validated(X).rows)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus :meth:`anomaly_score`, shape (n,): higher is more normal, as scikit-learn has it."""
        return -self.anomaly_score(X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return :meth:`score_samples` less ``offset_``, shape (n,): below 0 for anomalies."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return -1 for anomalies and 1 for normal rows, shape (n,), by the threshold of the fit."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> np.ndarray:
        """Return conformal p-values: how rare a score like that of each row is among normal rows.

        Whatever distribution the rows of the fit were drawn from, of new normal rows about one in a hundred has a
        p-value of 0.01 or less. (The autoencoders behind the calibration have seen fewer rows than the final one, which
        makes p-values a little larger than they need be.) That is for rows that do not depend on each other: of a
        series, fit to windows that do not overlap. Where ``contamination`` is given no such claim is made: anomalies
        are then among the rows that others are compared with, which makes p-values too large.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray of float64, shape (n,)
            At least 1 / (m + 1), where m is the number of calibration scores.
        """
        return conformal_p_values(self.anomaly_score(X), self.calibration_scores_)

    def detect(self, X: Any, fdr: float = 0.05) -> np.ndarray:
        """Find the anomalies among rows so that of those found only a fraction ``fdr`` is expected to be normal.

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
        return discoveries(self.p_values(X), float(fdr))

    def explain(self, X: Any, top: int | None = None) -> Any:
        """Attribute anomalies to columns: which make a row anomalous, and what was expected there.

        Of each row the column is sought whose value goes least with the others and with what the column usually holds;
        then the next, as if the first were not known; and so on for five columns. So one wrong value is not
        attributed to the columns that were predicted from it.

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
            units, ``attribution``, the column's fraction of what is anomalous about the row; top columns first.
        """
        if top is not None:
            check_number("top", top, integer=True, low=1)
        given = self._validated(X)
        if self._explainer is None:
            self._explainer = Explainer.fit(self._scorer.denoiser, self._encoding, self._names())
        return self._explainer.explain(_in_memory(given.rows), given.source, top)

    def expected(self, X: Any) -> Any:
        """Predict every value from others of its row: to draw beside what was seen.

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
        given, encoding = self._validated(X), self._encoding
        values = expected_values(self._scorer.denoiser, encoding, given.rows, self._names())
        if encoding is None or encoding.is_plain:
            return values
        index = None if given.source is None else given.source.origin.index
        return to_origin(encoding.decode(values), Origin(self.schema_.library, index=index))

    def plot_explanation(self, row: Any, *, top: int = 10, ax: Any = None) -> Any:
        """Draw which columns make a row anomalous; see :func:`narrows.report.plot_explanation`."""
        return plot_explanation(self, row, top=top, ax=ax)

    def _names(self) -> list[str]:
        if (encoding := self._encoding) is not None:
            return encoding.names
        names = getattr(self, "feature_names_in_", None)
        return [f"x{k}" for k in range(self.n_features_in_)] if names is None else [str(name) for name in names]

    def _to_file(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        inner, weights = state.to_file(self.autoencoder_)
        fitted, tensors = self._scorer.to_state()
        fitted |= {"n_features_in": self.n_features_in_, "offset": self.offset_}
        if hasattr(self, "schema_"):
            fitted["schema"] = self.schema_.to_json()
        if hasattr(self, "feature_names_in_"):
            fitted["feature_names_in"] = [str(name) for name in self.feature_names_in_]
        options = state.saved_options(self)
        options["method"] = list(self.method) if not isinstance(self.method, str) else self.method
        options["autoencoder"] = None if self.autoencoder is None else "own"
        tensors |= {AUTOENCODER + name: tensor for name, tensor in weights.items()}
        return {"options": options, "fitted": fitted, "autoencoder": inner}, tensors

    @classmethod
    def _from_file(
        cls, metadata: dict[str, Any], tensors: dict[str, Tensor], *, network: Any, device: str
    ) -> AnomalyDetector:
        options, fitted = dict(metadata["options"]), metadata["fitted"]
        weights = {name.removeprefix(AUTOENCODER): t for name, t in tensors.items() if name.startswith(AUTOENCODER)}
        autoencoder = state.from_file(Autoencoder, metadata["autoencoder"], weights, network=network, device=device)
        options["autoencoder"] = None if options["autoencoder"] is None else clone(autoencoder)
        options["method"] = tuple(options["method"]) if isinstance(options["method"], list) else options["method"]
        state.check_names(cls, options)
        detector = cls(**(options | {"device": device}))
        DetectorOptions.resolve(detector)
        if "schema" in fitted:
            detector.schema_ = Schema.from_json(fitted["schema"])
        own = {name: tensor for name, tensor in tensors.items() if not name.startswith(AUTOENCODER)}
        detector._scorer = Scorer.from_state(fitted, own, autoencoder)
        detector.offset_, detector.n_features_in_ = float(fitted["offset"]), int(fitted["n_features_in"])
        if "feature_names_in" in fitted:
            detector.feature_names_in_ = np.asarray(fitted["feature_names_in"], dtype=object)
        scaler = detector._scorer.denoiser.scaler
        n_columns = scaler.n_numbers + len(scaler.block_sizes)
        named = len(getattr(detector, "feature_names_in_", range(n_columns)))
        encoding = detector._encoding
        if encoding is not None and fitted.get("feature_names_in", encoding.names) != encoding.names:
            raise ModelFileError("the names of the columns are not those of the schema")
        sizes, framed = ((), n_columns) if encoding is None else (encoding.sizes, len(encoding.columns))
        if not detector.n_features_in_ == n_columns == named == framed or sizes != scaler.block_sizes:
            raise ModelFileError("the columns of the detector do not fit together")
        detector._set_fitted()
        return detector

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags


def _in_memory(rows: Rows) -> Tensor:
    return torch.cat([_finite(block.double()) for block in rows.blocks(1 << 14)])


def _finite(block: Tensor) -> Tensor:
    """Refuse infinite values, which files and frames may hold."""
    infinite = torch.isinf(block)
    if bool(infinite.any()):
        column = int(infinite.any(0).int().argmax())
        raise DataError(f"there are infinite values, the first in column {column} (the first is 0): make them NaN")
    return block

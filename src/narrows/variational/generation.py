"""From codes to rows: new ones from the prior, and those on the way from one row to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from narrows.data.libraries import is_missing
from narrows.data.output import to_origin
from narrows.data.source import Origin
from narrows.errors import DataError
from narrows.estimator.base_autoencoder import BaseAutoencoder
from narrows.networks.model import VariationalModel
from narrows.priors import CodePrior, Normal, Prior
from narrows.validation import check_number, resolve_seed
from narrows.variational import sampling

PRIORS = ("normal", "mixture")
MAX_CLASSES = 1000


class BaseGenerator(BaseAutoencoder):
    """What a fitted variational autoencoder makes of codes, in the form of the data it was fitted to."""

    _model: VariationalModel
    _mixture: CodePrior | None
    _form: sampling.Form
    classes_: np.ndarray
    prior: Prior | str

    def _prior_named(self, name: str | None) -> CodePrior | None:
        """Return the mixture, or None for the standard normal; without a name what the model draws from."""
        if name is None:
            name = "mixture" if self._mixture is not None and Prior.resolve(self.prior) != Normal() else "normal"
        if name not in PRIORS:
            raise ValueError(f"prior must be 'normal' or 'mixture', got {name!r}")
        if name == "mixture" and self._mixture is None:
            raise ValueError("this model has no mixture: fit it with prior='mixture'")
        return self._mixture if name == "mixture" else None

    def sample_codes(
        self, n_samples: int = 1, *, y: Any = None, prior: str | None = None, random_state: Any = None
    ) -> np.ndarray:
        """Draw codes from the prior.

        Parameters
        ----------
        n_samples : int, default 1
            How many.
        y : label, optional
            Draw codes of rows with this label only, of a model fitted with labels.
        prior : {"normal", "mixture"}, optional
            By default the mixture, where the model has one.
        random_state : int, RandomState or None, default None
            Fixes the draw.

        Returns
        -------
        ndarray of shape (n_samples, n_components_)
        """
        check_is_fitted(self, "encoder_")
        check_number("n_samples", n_samples, integer=True, low=0)
        return self._draw(n_samples, y, prior, torch.Generator().manual_seed(resolve_seed(random_state)))[0]

    def _draw(
        self, count: int, y: Any, prior: str | None, generator: torch.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Draw codes and, of a model that knows labels, the numbers of their labels."""
        mixture = self._prior_named(prior)
        label = None if y is None else int(self._label_numbers(y, 1)[0])
        if label is not None and not self._model.n_labels:
            # The standard normal knows no labels.
            mixture = self._mixture
            if mixture is None:
                raise ValueError("this model's fit was interrupted before it learnt where the codes of each label lie")
        if mixture is not None:
            codes, labels = mixture.draw(count, generator, label)
            return codes.numpy(), labels.numpy()
        codes = torch.randn(count, self.n_components_, generator=generator, dtype=torch.float64)
        if label is not None or self._mixture is None:
            return codes.numpy(), None if label is None else np.full(count, label)
        return codes.numpy(), self._mixture.draw(count, generator)[1].numpy()

    def sample(
        self,
        n_samples: int = 1,
        *,
        y: Any = None,
        noise: bool | str = "auto",
        prior: str | None = None,
        random_state: Any = None,
    ) -> Any:
        """Make new rows: draw codes from the prior and decode them.

        Parameters
        ----------
        n_samples : int, default 1
            How many.
        y : label, optional
            Make rows with this label only, of a model fitted with labels.
        noise : bool or "auto", default "auto"
            Whether to draw each value from the likelihood rather than to give its mean. ``"auto"``: rows of a table
            are drawn, as a table of means varies too little; of images, and where shades of grey were taken for
            probabilities, the means are given, as pictures are usually shown.
        prior : {"normal", "mixture"}, optional
            By default the mixture, where the model has one: the codes of the data never follow the standard normal
            altogether.
        random_state : int, RandomState or None, default None
            Fixes the draw.

        Returns
        -------
        ndarray of shape (n_samples, n_features_in_), images, or table
            Of the kind of the data that the model was fitted to: the same library, column names, types and decimals,
            each column within the range that was seen. Identifiers and texts are not among the columns. Of a model
            fitted to a file it is an Arrow table.
        """
        check_is_fitted(self, "encoder_")
        check_number("n_samples", n_samples, integer=True, low=0)
        if noise not in (True, False, "auto"):
            raise ValueError(f"noise must be True, False or 'auto', got {noise!r}")
        generator = torch.Generator().manual_seed(resolve_seed(random_state))
        codes, labels = self._draw(n_samples, y, prior, generator)
        columns = None if labels is None or not self._model.n_labels else sampling.one_hot(labels, self._model.n_labels)
        drawn = self._form.draws if noise == "auto" else bool(noise)
        rows = sampling.decode(self._model, codes, columns, generator if drawn else None)
        rows = self._form.finish(rows, drawn=drawn)
        if (encoding := self._encoding) is not None:
            return to_origin(encoding.decode(rows), Origin(self.schema_.library))
        return self._form.cast(rows).reshape(-1, *self._row_shape)

    def interpolate(self, a: Any, b: Any, steps: int = 10, *, method: str = "linear", y: Any = None) -> np.ndarray:
        """Decode the codes on the way from one row to another.

        Parameters
        ----------
        a, b : array of shape (n_features,), or one image
            The two rows; they are encoded to their means.
        steps : int, default 10
            Rows returned, both ends included.
        method : {"linear", "spherical"}, default "linear"
            A straight line, or the great circle that keeps to the shell where normal codes of many numbers lie
            (Shoemake 1985; White 2016, *Sampling generative networks*).
        y : label, optional
            For a conditional model.

        Returns
        -------
        ndarray of shape (steps, n_features_in_), or of images
            In the data's units.
        """
        check_is_fitted(self, "encoder_")
        check_number("steps", steps, integer=True, low=2)
        if method not in ("linear", "spherical"):
            raise ValueError(f"method must be 'linear' or 'spherical', got {method!r}")
        first, last = (np.asarray(self.transform(self._one_row(row))[0], np.float64) for row in (a, b))
        fraction = np.linspace(0, 1, steps)[:, None]
        codes = first + fraction * (last - first) if method == "linear" else slerp(first, last, fraction)
        return self._in_data_form(self._decoded(codes, y))

    def traverse(self, x: Any, component: int, values: Sequence[float] | None = None, *, y: Any = None) -> np.ndarray:
        """Decode the code of a row with one of its numbers set to other values.

        Parameters
        ----------
        x : array of shape (n_features,), or one image
            The row.
        component : int
            Which number of the code.
        values : sequence of float, optional
            What it is set to; by default seven values from -3 to 3, the range of a standard normal number.
        y : label, optional
            For a conditional model.

        Returns
        -------
        ndarray of shape (len(values), n_features_in_), or of images
            In the data's units.
        """
        check_is_fitted(self, "encoder_")
        check_number("component", component, integer=True, low=-self.n_components_, high=self.n_components_)
        steps = np.asarray(np.linspace(-3, 3, 7) if values is None else values, np.float64)
        if steps.ndim != 1 or not np.isfinite(steps).all():
            raise ValueError(f"values must be a sequence of finite numbers, got {values!r}")
        codes = np.repeat(np.asarray(self.transform(self._one_row(x)), np.float64), len(steps), axis=0)
        codes[:, component] = steps
        return self._in_data_form(self._decoded(codes, y))

    def inverse_transform(self, X: Any, y: Any = None) -> Any:
        """Decode codes to rows in the data's units.

        Parameters
        ----------
        X : array-like of shape (n, n_components_)
            The codes.
        y : label, or array of shape (n,), optional
            For a conditional model.

        Returns
        -------
        ndarray of shape (n, n_features_in_)
            Means, not draws; images, if the model was fitted to an array of images.
        """
        if y is None:
            return super().inverse_transform(X)
        check_is_fitted(self, "encoder_")
        self._validate_codes(X)
        return self._in_data_form(self._decoded(np.asarray(X), y))

    def _decoded(self, codes: np.ndarray, y: Any) -> np.ndarray:
        return sampling.decode(self._model, codes, None if y is None else self._label_columns(y, len(codes)), None)

    def _one_row(self, row: Any) -> Any:
        """Take one row for a table of one."""
        if self._encoding is not None and hasattr(row, "columns" if getattr(row, "ndim", 2) == 2 else "to_frame"):
            table = row.to_frame().T if hasattr(row, "to_frame") and getattr(row, "ndim", 0) == 1 else row
            if getattr(table, "shape", (0,))[0] != 1:
                raise ValueError("one row of a frame with the columns of the fit is needed")
            return table
        if hasattr(row, "to_frame"):
            row = row.to_numpy()
        array = np.asarray(row)
        shapes = {(self.n_features_in_,), tuple(self._row_shape)}
        if array.shape in shapes:
            return array[None].reshape(1, *self._row_shape)
        if array.shape in {(1, *shape) for shape in shapes}:
            return array.reshape(1, *self._row_shape)
        raise ValueError(f"one row of shape ({self.n_features_in_},) is needed, got an array of shape {array.shape}")

    def _label_numbers(self, y: Any, count: int) -> np.ndarray:
        """Return the numbers of labels, one for each of ``count`` rows."""
        if not hasattr(self, "classes_"):
            raise ValueError("this model knows no labels: hand them to fit, as fit(X, y)")
        given = np.asarray(y)
        given = np.full(count, given) if given.ndim == 0 else given
        if given.shape != (count,):
            raise ValueError(f"y must be one label, or one for each of {count} rows, got shape {given.shape}")
        known = {label: number for number, label in enumerate(self.classes_.tolist())}
        numbers = [known.get(label, -1) for label in given.tolist()]
        if -1 in numbers:
            unknown = given.tolist()[numbers.index(-1)]
            shown = ", ".join(map(repr, list(known)[:12])) + (", …" if len(known) > 12 else "")
            raise ValueError(f"label {unknown!r} was not among those of the fit: {shown}")
        return np.asarray(numbers)

    def _label_columns(self, y: Any, count: int) -> Tensor | None:
        if y is None:
            return None
        numbers = self._label_numbers(y, count)
        if not self._model.n_labels:
            raise ValueError("this model is not conditional on labels: fit it with conditional=True")
        return sampling.one_hot(numbers, len(self.classes_))


def encode_labels(y: Any, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the classes of labels and the number of each row's; None for targets that are no classes.

    Examples
    --------
    >>> encode_labels(["b", "a", "b"], 3)[1]
    array([1, 0, 1])
    >>> encode_labels([0.5, 1.25, 3.125], 3) is None
    True
    """
    from sklearn.utils.multiclass import type_of_target

    given = np.asarray(y)
    missing = [is_missing(value) for value in given.ravel().tolist()] if given.dtype.kind in "Of" else []
    if any(missing):
        raise DataError(f"the label of row {missing.index(True)} is missing: leave such rows out, or give them a label")
    given = given.ravel() if given.ndim == 2 and given.shape[1] == 1 else given
    if len(given) != count:
        raise ValueError(f"y must be one label for each of {count} rows, got shape {given.shape}")
    if given.ndim != 1 or type_of_target(given) not in ("binary", "multiclass"):
        return None
    classes, numbers = np.unique(given, return_inverse=True)
    # As many classes as rows are names of rows, or numbers to be predicted.
    if len(classes) > min(MAX_CLASSES, max(2, count // 2)):
        return None
    return classes, numbers.astype(np.int64)


def slerp(first: np.ndarray, last: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """Go from one vector to another along a great circle, the length changing evenly.

    A straight line where one is zero or both point the same way; of opposite ones any of the circles.

    Examples
    --------
    >>> import numpy as np
    >>> slerp(np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([[0.5]])).round(3)
    array([[0.707, 0.707]])
    """
    lengths = np.linalg.norm(first), np.linalg.norm(last)
    if min(lengths) == 0:
        return first + fraction * (last - first)
    start, end = first / lengths[0], last / lengths[1]
    cosine = float(np.clip(start @ end, -1, 1))
    away = end - cosine * start
    if np.linalg.norm(away) < 1e-9:
        if cosine > 0 or len(first) == 1:
            return first + fraction * (last - first)
        away = np.zeros_like(start)
        away[np.argmin(np.abs(start))] = 1.0
        away -= (away @ start) * start
    away /= np.linalg.norm(away)
    angle = np.arccos(cosine) * fraction
    path = (np.cos(angle) * start + np.sin(angle) * away) * (lengths[0] + fraction * (lengths[1] - lengths[0]))
    # The ends exactly, whatever the rounding of the circle.
    return np.where(fraction <= 0, first, np.where(fraction >= 1, last, path))

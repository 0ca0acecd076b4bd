"""What all estimators share: a fit that fails changes nothing, one file to be kept in, and parts of docstrings."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import wraps
from textwrap import indent
from typing import Any, ClassVar, ParamSpec, Self, TypeVar

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from narrows.estimator import serialization

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=type)

PARTS = {
    "training_parameters": """\
early_stopping : bool, default True
    Whether to keep the weights that did best on held-out rows, and to stop when they no longer improve. Without it
    nothing is held out, unless ``validation_fraction`` is given.
validation_fraction : float or "auto", default "auto"
    Fraction of the rows held out. ``"auto"``: a tenth, at most 10,000 rows; below 500 rows three folds or five; and
    up to 5,000 rows the fit is repeated on all rows for as many steps as did best.
patience : int or "auto", default "auto"
    Evaluations without improvement before stopping. ``"auto"``: a third of the budget, or never where
    ``max_epochs`` is given.
max_seconds : float or None, default None
    Limit on the training time. The schedule then follows the clock, so results depend on the machine.
checkpoint : path-like or None, default None
    A file to which the state of the training is saved now and then. If a fit of the same options and data is cut
    off, the next ``fit`` goes on from there, with bit-identical results. Removed when the fit is done.
checkpoint_seconds : float, default 60
    Seconds between two savings.
device : str, default "auto"
    ``"auto"`` takes a CUDA device where there is one, otherwise the CPU.
random_state : int, RandomState or None, default None
    Fixes everything random. No global generator is touched.
verbose : int, default 0
    1 shows a progress bar and a summary line; 2 prints each record as well.
callbacks : sequence of callables, default ()
    Each is given the history record of every evaluation, a dictionary; a true answer stops the training.
""",
    "fit_attributes": """\
stopped_ : str
    Why the training ended: "budget", "patience", "time", "callback" or "interrupted".
n_steps_ : int
    Training steps behind the final weights.
image_shape_ : tuple of int or None
    Height, width and channels of the images that rows are.
n_features_in_ : int
    Columns seen in ``fit``.
feature_names_in_ : ndarray of str
    Their names, where the input had names.
""",
}
"""Parts that several classes share, written once and filled in where a class is made."""


def atomic_fit(fit: Callable[P, T]) -> Callable[P, T]:
    """Decorate a method that fits: where it raises, the estimator is left as it was before the call.

    The method may set and delete attributes, but must not change fitted objects in place.
    """

    @wraps(fit)
    def fit_or_restore(*args: P.args, **kwargs: P.kwargs) -> T:
        state = args[0].__dict__
        before = state.copy()
        try:
            return fit(*args, **kwargs)
        except BaseException:
            state.clear()
            state.update(before)
            raise

    return fit_or_restore


def fill(docstring: str) -> str:
    """Put the shared parts in the place of their names in braces, each on a line of its own."""
    for name, part in PARTS.items():
        line = re.compile(rf"^( *)\{{{name}\}}\n", re.MULTILINE)
        docstring = line.sub(lambda found, part=part: indent(part, found.group(1)), docstring)  # type: ignore[misc]
    return docstring


def documented(cls: C) -> C:
    """Decorate a class: fill the shared parts into its docstring."""
    if cls.__doc__ is not None:
        cls.__doc__ = fill(cls.__doc__)
    return cls


class FittedEstimator(BaseEstimator):
    """Base of the public estimators.

    A subclass names an attribute that only a fit sets, decorates its ``fit`` with :func:`atomic_fit`, is known to
    :data:`narrows.estimator.serialization.CLASSES`, and says by ``_to_file`` and ``_from_file`` what a file holds.
    """

    _fitted_attribute: ClassVar[str]
    _metadata: ClassVar[Any] = dict[str, Any]
    """What ``_to_file`` says in JSON, as :func:`narrows.schema.conform` takes it."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to one file, whole or not at all; :func:`narrows.load` reads it.

        Parameters
        ----------
        path : path-like
            The file. An old one stays whole if the new one cannot be written.
        """
        check_is_fitted(self)
        serialization.save(self, path)

    def _to_file(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return all of the fitted estimator as JSON values and tensors."""
        raise NotImplementedError

    @classmethod
    def _from_file(cls, metadata: dict[str, Any], tensors: dict[str, Tensor], *, network: Any, device: str) -> Self:
        """Rebuild the estimator from what ``_to_file`` gave; raise ModelFileError where that cannot be."""
        raise NotImplementedError

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, self._fitted_attribute)

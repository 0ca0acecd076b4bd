"""What all fitted estimators share: a fit that fails changes nothing, and one file to be kept in."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Self, TypeVar

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from narrows.estimator import serialization

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["FittedEstimator", "atomic_fit"]

P = ParamSpec("P")
T = TypeVar("T")


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

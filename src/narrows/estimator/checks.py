"""Checks of rows and codes that a fitted model is handed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.data.rows import ArrayRows
from narrows.errors import DataError
from narrows.fitting.settings import resolve_network
from narrows.networks.ordered import OrderedDecoder

if TYPE_CHECKING:
    from narrows.autoencoder import Autoencoder
    from narrows.data.rows import Rows

__all__ = ["check_code", "check_rows", "code_rows", "code_size", "is_ordered"]


def check_rows(estimator: Autoencoder, row_shape: tuple[int, ...]) -> None:
    """Refuse images that have as many values as those of the fit but another shape."""
    known = estimator.image_shape_
    if known is None or len(row_shape) < 2:
        return
    if (*row_shape, 1)[:3] != known:
        raise DataError(f"images of shape {row_shape} were given, but the model was fitted to {known}")


def code_rows(estimator: Autoencoder, codes: Any) -> tuple[Rows, np.dtype]:
    """Validate codes for decoding."""
    from sklearn.utils import check_array

    array = check_array(codes, dtype=[np.float64, np.float32])
    size, given = estimator.n_components_, array.shape[1]
    if given > size or (given < size and not is_ordered(estimator)):
        least = "at most " if is_ordered(estimator) else ""
        raise ValueError(f"codes must have {least}{size} columns, got {given}")
    return ArrayRows(array), array.dtype


def is_ordered(estimator: Autoencoder) -> bool:
    """Say whether a fitted model takes the first numbers of its codes for the whole."""
    return isinstance(estimator._model.decoder[1], OrderedDecoder)


def code_size(estimator: Autoencoder, n_components: int | None) -> int:
    """Return how many numbers of the code are asked for.

    Raises
    ------
    ValueError
        If there are not as many, or fewer than all although the model is not ordered.
    """
    size = estimator.n_components_
    if n_components is None or n_components == size:
        return size
    if not is_ordered(estimator):
        raise ValueError(
            f"n_components={n_components!r}: only a model fitted with ordered=True has codes of which the first "
            f"numbers are a code; this one has {size}"
        )
    if not isinstance(n_components, (int, np.integer)) or not 1 <= n_components <= size:
        raise ValueError(f"n_components must be a whole number from 1 to {size}, got {n_components!r}")
    return int(n_components)


def check_code(estimator: Autoencoder, what: str) -> None:
    """Refuse what needs a code where the network has none."""
    if not resolve_network(estimator).has_code:
        raise DataError(
            f"{what} needs a code, and a network with skips has none that is narrow: use reconstruct or denoise, "
            "or fit a network without skips"
        )

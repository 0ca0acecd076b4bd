"""What loading a data set gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Dataset"]


@dataclass(frozen=True)
class Dataset:
    """A named data set in memory, parted into rows to fit and rows to test with.

    Attributes
    ----------
    name : str
        Its name, as :func:`narrows.datasets.load` takes it.
    train, test : ndarray of shape (n_rows, n_features)
        The rows; images are laid out flat, as uint8.
    train_labels, test_labels : ndarray of shape (n_rows,) or None
        Which class each row is of, as uint8; None for a set without classes.
    shape : tuple of int
        The shape of one row before it was laid out flat: ``(28, 28)``.
    source : str
        Where it came from: an address, a folder, or ``"embedded"`` in scikit-learn.
    licence, citation : str
        On what terms it may be used, and how to cite it.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None
    test_labels: np.ndarray | None
    shape: tuple[int, ...]
    source: str
    licence: str
    citation: str

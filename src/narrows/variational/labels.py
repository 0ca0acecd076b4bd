"""Labels that are handed to a fit, as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["encode_labels"]

MOST_CLASSES = 1000


def encode_labels(y: Any, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the classes of labels and the number of each row's; None for targets that are no classes.

    Parameters
    ----------
    y : array-like
        What was handed in beside the rows.
    count : int
        How many rows there are.

    Raises
    ------
    ValueError
        If there are not as many labels as rows.

    Examples
    --------
    >>> encode_labels(["b", "a", "b"], 3)[1]
    array([1, 0, 1])
    >>> encode_labels([0.5, 1.25, 3.125], 3) is None
    True
    """
    from sklearn.utils.multiclass import type_of_target

    given = np.asarray(y)
    given = given.ravel() if given.ndim == 2 and given.shape[1] == 1 else given
    if len(given) != count:
        raise ValueError(f"y must be one label for each of {count} rows, got shape {given.shape}")
    if given.ndim != 1 or type_of_target(given) not in ("binary", "multiclass"):
        return None
    classes, numbers = np.unique(given, return_inverse=True)
    # As many classes as rows are names of rows, or numbers to be predicted.
    if len(classes) > min(MOST_CLASSES, max(2, count // 2)):
        return None
    return classes, numbers.astype(np.int64)

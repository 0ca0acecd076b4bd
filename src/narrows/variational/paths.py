"""Ways from one code to another."""

from __future__ import annotations

import numpy as np

__all__ = ["slerp"]


def slerp(first: np.ndarray, last: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Go from one vector to another along a great circle, the length changing evenly.

    Parameters
    ----------
    first, last : ndarray of shape (n,)
        The ends. Where one is zero, or both point the same way, the straight line is meant; opposite directions
        leave the circle open, and one is taken.
    share : ndarray of shape (m, 1)
        How far along, 0 to 1.

    Returns
    -------
    ndarray of shape (m, n)

    Examples
    --------
    >>> import numpy as np
    >>> slerp(np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([[0.5]])).round(3)
    array([[0.707, 0.707]])
    """
    lengths = np.linalg.norm(first), np.linalg.norm(last)
    if min(lengths) == 0:
        return first + share * (last - first)
    start, end = first / lengths[0], last / lengths[1]
    cosine = float(np.clip(start @ end, -1, 1))
    away = end - cosine * start
    if np.linalg.norm(away) < 1e-9:
        if cosine > 0 or len(first) == 1:
            return first + share * (last - first)
        away = np.zeros_like(start)
        away[np.argmin(np.abs(start))] = 1.0
        away -= (away @ start) * start
    away /= np.linalg.norm(away)
    angle = np.arccos(cosine) * share
    path = (np.cos(angle) * start + np.sin(angle) * away) * (lengths[0] + share * (lengths[1] - lengths[0]))
    # The ends exactly, whatever the rounding of the circle.
    return np.where(share <= 0, first, np.where(share >= 1, last, path))

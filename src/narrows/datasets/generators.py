"""Made-up data whose structure is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

import numpy as np

if TYPE_CHECKING:
    RandomState = int | np.random.Generator | np.random.RandomState | None

__all__ = ["generator_of", "make_manifold"]


@overload
def make_manifold(
    n_samples: int = ...,
    n_features: int = ...,
    n_latent: int = ...,
    *,
    noise: float = ...,
    random_state: RandomState = ...,
    return_latent: Literal[False] = ...,
) -> np.ndarray: ...


@overload
def make_manifold(
    n_samples: int = ...,
    n_features: int = ...,
    n_latent: int = ...,
    *,
    noise: float = ...,
    random_state: RandomState = ...,
    return_latent: Literal[True],
) -> tuple[np.ndarray, np.ndarray]: ...


def make_manifold(
    n_samples: int = 1000,
    n_features: int = 20,
    n_latent: int = 2,
    *,
    noise: float = 0.05,
    random_state: RandomState = None,
    return_latent: bool = False,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Make rows that lie on a smooth curved surface of few dimensions, with some noise.

    Each row comes from ``n_latent`` normal numbers through a random smooth map. A plane (PCA) of ``n_latent``
    dimensions misses much of such rows; a code of ``n_latent`` numbers that may bend can hold all but the
    noise.

    Parameters
    ----------
    n_samples : int, default=1000
        Rows.
    n_features : int, default=20
        Columns. Each has a mean near 0 and a standard deviation of about 1 (0.4 to 1.4).
    n_latent : int, default=2
        Dimensions of the surface.
    noise : float, default=0.05
        Standard deviation of the normal noise added to every value: by default a twentieth of a column's own,
        so that the surface stays plain to see.
    random_state : int, numpy Generator, RandomState or None, default=None
        Seed of the map, the latent numbers and the noise. With the same seed, more rows lie on the same
        surface.
    return_latent : bool, default=False
        Give the latent numbers as well.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        float64.
    latent : ndarray of shape (n_samples, n_latent)
        Only with ``return_latent=True``.

    Raises
    ------
    ValueError
        If a size is less than 1 or the noise is negative.

    Examples
    --------
    >>> from narrows.datasets import make_manifold
    >>> make_manifold(500, n_features=10, random_state=0).shape
    (500, 10)
    """
    for name, size in (("n_samples", n_samples), ("n_features", n_features), ("n_latent", n_latent)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, not {size}.")
    if not noise >= 0:
        raise ValueError(f"noise must not be negative, and is {noise}.")
    rng = generator_of(random_state)
    n_waves = 8 * n_latent
    # Drawn before the rows, so that the surface does not depend on how many there are.
    directions = rng.standard_normal((n_latent, n_waves))
    phases = rng.uniform(0.0, 2.0 * np.pi, n_waves)
    # A sine of random phase has variance 1/2, so this gives columns of variance 1 on average.
    mixing = rng.standard_normal((n_waves, n_features)) * np.sqrt(2.0 / n_waves)
    latent = rng.standard_normal((n_samples, n_latent))
    waves = np.sin(latent @ directions + phases) - np.exp(-(directions**2).sum(axis=0) / 2) * np.sin(phases)
    rows = waves @ mixing  # (n_samples, n_features)
    rows += noise * rng.standard_normal(rows.shape)
    return (rows, latent) if return_latent else rows


def generator_of(random_state: RandomState) -> np.random.Generator:
    """Return a generator of one's own; numpy's global one is never touched."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    return np.random.default_rng(random_state)

"""How near sampled images are to real ones: the Fréchet distance of what a small classifier sees in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from narrows.labs.classifier import VALIDATION_SHARE, CodeClassifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["Reader", "Score", "frechet_distance", "score_images"]


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the squared Fréchet distance of two sets of points, each taken as normally distributed.

    ``|m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))`` of their means and covariances (Dowson and Landau 1982); of
    features of a classifier it tells how near sampled images are to real ones (Heusel et al. 2017, *GANs trained by a
    two time-scale update rule*). Few points make it too large, so sets are to be of the same size.

    Parameters
    ----------
    one, other : ndarray of shape (n, n_features) and (m, n_features)
        The points, at least two in each set.

    Returns
    -------
    float
        Zero for equal means and covariances.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.random.default_rng(0).normal(size=(1000, 3))
    >>> round(frechet_distance(points, points), 6), round(frechet_distance(points, points + 1), 6)
    (0.0, 3.0)
    """
    first, second = (points.astype(np.float64) for points in (one, other))
    shift = first.mean(0) - second.mean(0)
    covariances = [np.atleast_2d(np.cov(points, rowvar=False)) for points in (first, second)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    both = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    return float(max(0.0, shift @ shift + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * both))


@dataclass(frozen=True)
class Reader:
    """A small classifier of images, whose hidden units say what an image looks like.

    It is trained on the first four fifths of the training images; what it has not seen of them shows how far apart
    two sets of real images are.

    Attributes
    ----------
    layers : torch.nn.Module
        From flat images to one score a class; the last layer reads the hidden units.
    """

    layers: nn.Sequential

    @classmethod
    def train(cls, images: np.ndarray, labels: np.ndarray, *, hidden: int, epochs: int, seed: int) -> Reader:
        """Train it.

        Parameters
        ----------
        images : ndarray of shape (n, height, width)
            Pixels from 0 to 1.
        labels : ndarray of int, shape (n,)
            Their classes.
        hidden : int
            Number of hidden units.
        epochs : int
            Passes over the images.
        seed : int
            Fixes the training.
        """
        seen = unseen_from(len(images))
        classifier = CodeClassifier(hidden=hidden, epochs=epochs, seed=seed)
        layers = classifier.fit(images[:seen].reshape(seen, -1), labels[:seen])
        assert isinstance(layers, torch.nn.Sequential)
        return cls(layers)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the hidden units' values, shape (n, hidden)."""
        return self._through(self.layers[:-1], images)

    def read(self, images: np.ndarray) -> np.ndarray:
        """Return the most likely class of each image."""
        return self._through(self.layers, images).argmax(1)

    @staticmethod
    def _through(layers: nn.Module, images: np.ndarray) -> np.ndarray:
        flat = np.ascontiguousarray(images.reshape(len(images), -1), dtype=np.float32)
        with torch.no_grad():
            return layers(torch.from_numpy(flat)).numpy()


def unseen_from(n_rows: int) -> int:
    """Return the number of the first training image that the classifier is not trained on."""
    return int(n_rows * (1 - VALIDATION_SHARE))


@dataclass(frozen=True)
class Score:
    """How one source of images compares with the test images.

    Attributes
    ----------
    source : str
        ``"real"``, ``"pixels"``, ``"pca"``, or the key of a model.
    way : str
        ``"normal"`` or ``"mixture"``, the prior that codes are drawn from; ``"rebuilt"``; empty where there is no
        code.
    name : str
        For people.
    distance : float
        Fréchet distance from the test images, of the classifier's hidden units.
    error : float
        Standard error of the distance, where it is a mean over several sets of images; otherwise 0.
    read : float or None
        Share of images sampled for a digit that the classifier reads as that digit; of real images, as their own.
    """

    source: str
    way: str
    name: str
    distance: float
    error: float = 0.0
    read: float | None = None


def score_images(reader: Reader, real: np.ndarray, draw: Callable[[int], np.ndarray], repeats: int) -> list[float]:
    """Return the distances of several sets of images from real ones.

    Parameters
    ----------
    reader : Reader
        The classifier.
    real : ndarray of shape (n, hidden)
        Its hidden units for real images.
    draw : callable
        Makes a set of images from a seed.
    repeats : int
        How many sets.
    """
    return [frechet_distance(reader.features(draw(number)), real) for number in range(repeats)]

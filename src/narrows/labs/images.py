"""The images of labs, and how near sampled ones are: the Fréchet distance of what a small classifier sees in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from narrows import datasets
from narrows.errors import DataError
from narrows.labs.classifier import CodeClassifier, n_fitted
from narrows.priors import CodePrior, Mixture

__all__ = ["DigitImages", "LinearGenerator", "SampleJudge", "frechet_distance", "load_images", "shuffled_pixels"]

MOST_IMAGES, MOST_CODES = 10_000, 20_000
N_DIGITS, N_READ = 10, 1000
"""Images sampled for all digits, to see whether they are read as meant."""


_NAMES = {"digits": "digits", "mnist": "MNIST"}
_WHITE = {"digits": 16.0, "mnist": 255.0}


@dataclass(frozen=True)
class DigitImages:
    """Training and test images, shape (n, height, width), their digits, and the licence and citation."""

    name: str
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray
    source: str

    def facts(self, n_components: int, least: int = 1) -> dict[str, Any]:
        """Return the sizes for a code, which must have some components, and fewer than there are pixels."""
        n_pixels = self.test[0].size
        if not least <= n_components < n_pixels:
            raise DataError(f"The code of this lab may have {least} to {n_pixels - 1} components, not {n_components}.")
        sizes = {"n_train": len(self.train), "n_test": len(self.test), "n_pixels": n_pixels}
        return sizes | {"data": self.name, "n_components": n_components}


def load_images(name: str) -> DigitImages:
    """Load ``"digits"``, which come with scikit-learn, or ``"mnist"``."""
    if name not in _NAMES:
        raise DataError(f"This lab runs on {' or '.join(_NAMES)}, not on {name!r}.")
    data, white = datasets.load(name), np.float32(_WHITE[name])
    assert data.train_labels is not None
    assert data.test_labels is not None
    train, test = ((rows.astype(np.float32) / white).reshape(-1, *data.shape) for rows in (data.train, data.test))
    # Whole numbers of the usual kind: a label is then written as 7, not as an unsigned one.
    labels, test_labels = (found.astype(np.int64) for found in (data.train_labels, data.test_labels))
    return DigitImages(_NAMES[name], train, test, labels, test_labels, f"{data.citation}. Licence: {data.licence}.")


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the squared Fréchet distance of two sets of points, each taken as normally distributed.

    ``|m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))`` of their means and covariances (Dowson and Landau 1982); of
    features of a classifier it tells how near sampled images are to real ones (Heusel et al. 2017, *GANs trained by a
    two time-scale update rule*). Few points make it too large, so sets are to be of the same size.

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


class SampleJudge:
    """Holds sets of images against the test images, by what the hidden units of a small classifier see in them.

    It is trained on the first four fifths of the training images; the rest shows how far apart real images are.
    """

    def __init__(self, images: DigitImages, *, hidden: int, epochs: int, repeats: int, seed: int) -> None:
        seen = n_fitted(len(images.train))
        classifier = CodeClassifier(hidden=hidden, epochs=epochs, seed=seed)
        self.layers = classifier.fit(images.train[:seen].reshape(seen, -1), images.train_labels[:seen])
        self.unseen = images.train[seen:][:MOST_IMAGES]
        self.real = self.features(images.test[:MOST_IMAGES])
        self.repeats, self.seed = repeats, seed

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the hidden units' values, shape (n, hidden)."""
        return self._through(self.layers[:-1], images)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the most likely class of each image."""
        return self._through(self.layers, images).argmax(1)

    def _through(self, layers: nn.Module, images: np.ndarray) -> np.ndarray:
        flat = np.ascontiguousarray(images.reshape(len(images), -1), dtype=np.float32)
        with torch.no_grad():
            return layers(torch.from_numpy(flat)).numpy()

    def distance(self, images: np.ndarray) -> float:
        """Return the distance of one set of images."""
        return frechet_distance(self.features(images), self.real)

    def judge(self, draw: Callable[[int], np.ndarray]) -> dict[str, float]:
        """Return the mean distance of several sets, which are drawn from a seed each, and its standard error."""
        found = [self.distance(draw(1000 * self.seed + number)) for number in range(self.repeats)]
        return {"distance": float(np.mean(found)), "distance_error": float(np.std(found, ddof=1)) / len(found) ** 0.5}

    def judge_samples(self, source: Any, prior: str) -> dict[str, float]:
        """Return the same of images sampled from a prior."""
        return self.judge(lambda seed: source.sample(len(self.unseen), prior=prior, random_state=seed))

    def read_as_meant(self, source: Any) -> float:
        """Return the fraction of images sampled for a digit that the classifier reads as that digit."""
        n_each = N_READ // N_DIGITS
        sampled = (source.sample(n_each, y=digit, random_state=self.seed) for digit in range(N_DIGITS))
        right = [(self.predict(images) == digit).mean() for digit, images in enumerate(sampled)]
        return float(np.mean(right))


@dataclass(frozen=True)
class LinearGenerator:
    """New images from PCA: codes from one normal distribution, or from a mixture as a variational model has it."""

    pca: Any
    normal: CodePrior
    mixture: CodePrior
    shape: tuple[int, ...]

    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, n_components: int, seed: int) -> LinearGenerator:
        """Fit to images, shape (n, height, width), and their labels from 0 up."""
        from sklearn.decomposition import PCA

        flat = images.reshape(len(images), -1).astype(np.float64)
        pca = PCA(n_components, random_state=seed).fit(flat)
        codes, labels = pca.transform(flat[:MOST_CODES]), labels[:MOST_CODES]
        normal, mixture = Mixture(1).fit(codes, None, seed), Mixture().fit(codes, labels, seed)
        assert normal is not None
        assert mixture is not None
        return cls(pca, normal, mixture, images.shape[1:])

    def sample(
        self, n_samples: int, *, y: int | None = None, prior: str = "mixture", random_state: int = 0
    ) -> np.ndarray:
        """Draw images, clipped to pixels from 0 to 1; as :meth:`narrows.VariationalAutoencoder.sample`."""
        generator = torch.Generator().manual_seed(random_state)
        drawn_from = self.normal if prior == "normal" else self.mixture
        codes = drawn_from.draw(n_samples, generator, y)[0].numpy()
        return self.pca.inverse_transform(codes).clip(0, 1).reshape(-1, *self.shape).astype(np.float32)


def shuffled_pixels(images: np.ndarray, n_images: int, seed: int) -> np.ndarray:
    """Return images whose pixels come each from another image, at random."""
    rng = np.random.default_rng(seed)
    flat = images.reshape(len(images), -1)
    chosen = rng.integers(0, len(flat), (n_images, flat.shape[1]))
    return flat[chosen, np.arange(flat.shape[1])].reshape(n_images, *images.shape[1:])

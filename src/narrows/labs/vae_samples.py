"""Images sampled in the lab on variational autoencoders: from the models, and from the simple answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.labs.samples import Score, score_images, unseen_from
from narrows.priors import Mixture
from narrows.variational.fitting import MOST_CODES

if TYPE_CHECKING:
    from narrows.labs.samples import Reader
    from narrows.priors import CodePrior
    from narrows.variational import VariationalAutoencoder

__all__ = ["READ_IMAGES", "LinearGenerator", "all_scores"]

MOST_IMAGES = 10_000
DIGITS = 10
READ_IMAGES = 1000
"""Images sampled for all digits, to see whether they are read as meant."""


@dataclass(frozen=True)
class LinearGenerator:
    """New images from PCA: codes from one normal distribution, or from a mixture as a variational model has it.

    Attributes
    ----------
    pca : sklearn.decomposition.PCA
        The way back from codes to images.
    normal, mixture : CodePrior
        Fitted to the codes of the training images.
    shape : tuple of int
        Of an image.
    """

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
        normal = Mixture(1).fit(codes, None, seed)
        mixture = Mixture().fit(codes, labels, seed)
        assert normal is not None
        assert mixture is not None
        return cls(pca, normal, mixture, images.shape[1:])

    @property
    def name(self) -> str:
        """What it is called."""
        return f"PCA, {self.pca.n_components_} numbers"

    def sample(
        self, n_samples: int, *, y: int | None = None, prior: str = "mixture", random_state: int = 0
    ) -> np.ndarray:
        """Draw images, cut to pixels from 0 to 1; parameters as of :meth:`narrows.VariationalAutoencoder.sample`."""
        generator = torch.Generator().manual_seed(random_state)
        drawn_from = self.normal if prior == "normal" else self.mixture
        codes = drawn_from.draw(n_samples, generator, y)[0].numpy()
        return self.pca.inverse_transform(codes).clip(0, 1).reshape(-1, *self.shape).astype(np.float32)


def all_scores(
    reader: Reader,
    images: tuple[np.ndarray, np.ndarray, np.ndarray],
    linear: LinearGenerator,
    models: dict[str, VariationalAutoencoder],
    names: dict[str, str],
    repeats: int,
    seed: int,
) -> tuple[Score, ...]:
    """Compare images from all sources with the test images.

    Parameters
    ----------
    reader : Reader
        What looks at them.
    images : tuple of ndarray
        Training images, test images and the labels of these.
    linear : LinearGenerator
        PCA.
    models : dict of VariationalAutoencoder
        The fitted models.
    names : dict of str
        What they are called.
    repeats : int
        Sets of images from each source.
    seed : int
        Of all draws.
    """
    train, test, labels = images
    unseen = train[unseen_from(len(train)) :][:MOST_IMAGES]
    judge = _Judge(reader, reader.features(test[:MOST_IMAGES]), len(unseen), repeats, seed)
    own = float((reader.read(test) == labels).mean())
    scores = [
        Score("real", "", "training images, new to the classifier", judge.distances(lambda _: unseen, 1)[0], 0.0, own),
        judge.score("pixels", "", "each pixel from another image", lambda draw: _shuffled(train, len(unseen), draw)),
    ]
    sources: dict[str, tuple[str, Any]] = {"pca": (linear.name, linear)}
    sources |= {key: (names[key], model) for key, model in models.items()}
    for key, (name, source) in sources.items():
        if key in models:
            rebuilt = judge.distances(lambda _, model=source: model.reconstruct(unseen), 1)[0]
            scores.append(Score(key, "rebuilt", f"{name}: rebuilt from their codes", rebuilt))
        scores += [judge.sampled(key, name, source, prior) for prior in ("normal", "mixture")]
    return tuple(scores)


@dataclass(frozen=True)
class _Judge:
    """Scores sets of images of one size against real ones."""

    reader: Reader
    real: np.ndarray
    count: int
    repeats: int
    seed: int

    def distances(self, draw: Any, repeats: int) -> list[float]:
        return score_images(self.reader, self.real, draw, repeats)

    def score(self, source: str, way: str, name: str, draw: Any, read: float | None = None) -> Score:
        found = self.distances(lambda number: draw(1000 * self.seed + number), self.repeats)
        return Score(source, way, name, float(np.mean(found)), float(np.std(found, ddof=1)) / len(found) ** 0.5, read)

    def sampled(self, key: str, name: str, source: Any, prior: str) -> Score:
        read = self.read_as_meant(source) if prior == "mixture" else None
        text = f"{name}: {'a mixture' if prior == 'mixture' else 'the normal prior'}"
        return self.score(
            key, prior, text, lambda draw: source.sample(self.count, prior=prior, random_state=draw), read
        )

    def read_as_meant(self, source: Any) -> float:
        """Return the share of images sampled for a digit that the classifier reads as that digit."""
        right = [
            (self.reader.read(source.sample(READ_IMAGES // DIGITS, y=digit, random_state=self.seed)) == digit).mean()
            for digit in range(DIGITS)
        ]
        return float(np.mean(right))


def _shuffled(images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return images whose pixels come each from another image, at random."""
    rng = np.random.default_rng(seed)
    flat = images.reshape(len(images), -1)
    chosen = rng.integers(0, len(flat), (count, flat.shape[1]))
    return flat[chosen, np.arange(flat.shape[1])].reshape(count, *images.shape[1:])

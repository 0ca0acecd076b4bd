"""What the lab on variational autoencoders gives: plain data, and the fitted models to go on with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from narrows.labs.samples import Score
    from narrows.variational import VariationalAutoencoder

__all__ = ["SimpleEntry", "VaeEntry", "VaeExhibits", "VaeResult"]


@dataclass(frozen=True)
class SimpleEntry:
    """A simple way of rebuilding the test images.

    Attributes
    ----------
    key : str
        ``"mean"``, ``"pca"`` or ``"autoencoder"``.
    name : str
        For people.
    n_components : int or None
        Numbers in the code.
    test_mse : float
        Mean squared error of the rebuilt test images, per pixel, pixels from 0 to 1.
    """

    key: str
    name: str
    n_components: int | None
    test_mse: float


@dataclass(frozen=True)
class VaeEntry:
    """A fitted variational autoencoder, and what was measured on the test images.

    Attributes
    ----------
    key : str
        ``"taught"``; ``"small"``, narrows' defaults with two numbers; ``"narrows"``, with more.
    name, description : str
        For people: a short name, and one line on what it is.
    hidden : tuple of int
        Units in the encoder's hidden layers; the decoder has them in reverse.
    n_components, n_active : int
        Numbers in the code, and how many of them are used.
    reconstruction, kl, total : float
        Nats a test image: cross-entropy summed over pixels, divergence summed over the code, and their sum, which
        is minus the evidence lower bound.
    bits_per_pixel : float
        The total in bits, over the number of pixels.
    importance, importance_total : float
        Minus the log-likelihood by importance sampling, and the total of the same few test images, in nats.
    test_mse : float
        Mean squared error of the test images rebuilt from their mean codes, per pixel.
    seconds : float
        Time of the fit, its comparisons included. Does not count when results are compared.
    steps : int
        Training steps behind the weights.
    passes : float
        As many passes over the images that were not held out.
    warning : str or None
        What the fit warned of.
    """

    key: str
    name: str
    description: str
    hidden: tuple[int, ...]
    n_components: int
    n_active: int
    reconstruction: float
    kl: float
    total: float
    bits_per_pixel: float
    importance: float
    importance_total: float
    test_mse: float
    seconds: float = field(compare=False)
    steps: int
    passes: float
    warning: str | None = None


@dataclass(frozen=True, eq=False)
class VaeExhibits:
    """What the report shows.

    Attributes
    ----------
    models : dict of VariationalAutoencoder
        The fitted models, by the key of their entries. They take images with pixels from 0 to 1.
    images : ndarray of shape (n_images, height, width)
        The first test images, at most 5,000.
    labels : ndarray of shape (n_images,)
        The digit of each.
    totals : dict of ndarray, shape (n_test,)
        The total of each test image, by the key of an entry.
    """

    models: dict[str, VariationalAutoencoder]
    images: np.ndarray
    labels: np.ndarray
    totals: dict[str, np.ndarray]


@dataclass(frozen=True)
class VaeResult:
    """The lab, run. Two runs are equal when all but their times is.

    Attributes
    ----------
    data : str
        The data set.
    seed : int
        What everything random came from.
    n_train, n_test : int
        Rows fitted and rows tested.
    shape : tuple of int
        Of an image.
    entries : tuple of VaeEntry
        The network as taught, narrows with as many numbers, narrows with more.
    simple : tuple of SimpleEntry
        Mean image, PCA and plain autoencoder of both sizes.
    independent : float
        Nats a test image under a model in which each pixel has a chance of its own and all are independent.
    floor : float
        Nats a test image that cross-entropy leaves even to a perfect copy, since pixels are grey.
    scores : tuple of Score
        How near sampled images are to the test images.
    importance_rows, importance_draws : int
        Test images and draws behind the log-likelihoods.
    read_images : int
        Images sampled for all digits, to see whether they are read as meant.
    notes : tuple of str
        How the lab was set up, a sentence each.
    source : str
        The data's licence and citation.
    exhibits : VaeExhibits
        What the report shows.
    """

    data: str
    seed: int
    n_train: int
    n_test: int
    shape: tuple[int, ...]
    entries: tuple[VaeEntry, ...]
    simple: tuple[SimpleEntry, ...]
    independent: float
    floor: float
    scores: tuple[Score, ...]
    importance_rows: int
    importance_draws: int
    read_images: int
    notes: tuple[str, ...]
    source: str
    exhibits: VaeExhibits = field(repr=False, compare=False)

    def __getitem__(self, key: str) -> VaeEntry:
        """Return the entry of this key."""
        for entry in self.entries:
            if entry.key == key:
                return entry
        raise KeyError(key)

    def simple_error(self, key: str, n_components: int | None = None) -> float:
        """Return the squared error of a simple answer, of this size of the code."""
        for entry in self.simple:
            if (entry.key, entry.n_components) == (key, n_components):
                return entry.test_mse
        raise KeyError((key, n_components))

    def score(self, source: str, way: str = "") -> Score:
        """Return the score of a source of images."""
        for score in self.scores:
            if (score.source, score.way) == (source, way):
                return score
        raise KeyError((source, way))

    @property
    def n_pixels(self) -> int:
        """Pixels of an image."""
        return self.shape[0] * self.shape[1]

    @property
    def lessons(self) -> tuple[str, ...]:
        """What the numbers say, a sentence each."""
        from narrows.labs.vae_lessons import vae_lessons

        return vae_lessons(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as dictionaries, lists, text and numbers, ready for JSON.

        Returns
        -------
        dict
            Without the exhibits.
        """
        plain = {"name": "vae"} | {name: value for name, value in vars(self).items() if name != "exhibits"}
        for name in ("entries", "simple", "scores"):
            plain[name] = [asdict(part) for part in plain[name]]
        for entry in plain["entries"]:
            entry["hidden"] = list(entry["hidden"])
        for name in ("shape", "notes"):
            plain[name] = list(plain[name])
        return plain | {"lessons": list(self.lessons)}

"""The classifier that courses put on an autoencoder's codes, trained by the loop that trains everything else."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from narrows.data.rows import ArrayRows
from narrows.training.loop import LossParts, TrainConfig, train
from narrows.training.optimisers import RMSprop
from narrows.training.schedules import Constant

__all__ = ["Accuracy", "CodeClassifier", "classify_codes", "n_fitted"]

VALIDATION_FRACTION = 0.2


@dataclass(frozen=True)
class Accuracy:
    """Fraction of rows whose class a classifier names rightly: the last fifth of the training rows, and test rows."""

    validation: float
    test: float


def n_fitted(n_rows: int) -> int:
    """Return how many of the training rows, the first ones, a classifier is trained on."""
    return int(n_rows * (1 - VALIDATION_FRACTION))


@dataclass(frozen=True)
class CodeClassifier:
    """One hidden ReLU layer and a softmax, trained by RMSprop at a constant learning rate, as courses have it.

    The first weights (Glorot and Bengio 2010, uniform) and the order of the rows come from the seed; the weights after
    the last epoch count.
    """

    hidden: int = 128
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 1e-3
    seed: int = 0

    def fit(self, codes: np.ndarray, labels: np.ndarray) -> nn.Sequential:
        """Train on codes and labels from 0 up, and return what gives one score a class."""
        # The loop takes rows of one table, so the label rides along as the last column.
        rows = ArrayRows(np.column_stack([codes, labels]).astype(np.float32))
        generator = torch.Generator().manual_seed(self.seed)
        layers = nn.Sequential(
            _glorot(codes.shape[1], self.hidden, generator),
            nn.ReLU(),
            _glorot(self.hidden, int(labels.max()) + 1, generator),
        )
        steps_a_pass = math.ceil(rows.n_rows / self.batch_size)
        steps = self.epochs * steps_a_pass
        plan = TrainConfig(
            RMSprop(), Constant(), self.learning_rate, self.batch_size, steps, evaluate_every=steps_a_pass
        )
        outcome = train(layers, rows, CrossEntropy(layers), plan, seed=self.seed)
        if outcome.stopped == "interrupted":
            raise KeyboardInterrupt
        layers.eval()
        return layers


class CrossEntropy:
    """The objective of a classifier on rows whose last column is the label."""

    def __init__(self, layers: nn.Module) -> None:
        self.layers = layers

    def __call__(self, batch: Tensor, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return the cross-entropy of each row."""
        scores = self.layers(batch[:, :-1])
        return LossParts({"cross_entropy": functional.cross_entropy(scores, batch[:, -1].long(), reduction="none")})


def classify_codes(
    codes: np.ndarray,
    labels: np.ndarray,
    test_codes: np.ndarray,
    test_labels: np.ndarray,
    classifier: CodeClassifier,
    *,
    standardise: bool = False,
) -> Accuracy:
    """Train the classifier on the first four fifths of the rows and measure it on the last fifth and the test rows.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows.labs.classifier import CodeClassifier, classify_codes
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(0, 2, 500)
    >>> codes = labels[:, None] + 0.1 * rng.standard_normal((500, 3))
    >>> classify_codes(codes[:400], labels[:400], codes[400:], labels[400:], CodeClassifier())
    Accuracy(validation=1.0, test=1.0)
    """
    cut = n_fitted(len(codes))
    if standardise:
        mean, std = codes[:cut].mean(0), codes[:cut].std(0)
        std[std == 0] = 1
        codes, test_codes = (codes - mean) / std, (test_codes - mean) / std
    layers = classifier.fit(codes[:cut], labels[:cut])
    return Accuracy(_accuracy(layers, codes[cut:], labels[cut:]), _accuracy(layers, test_codes, test_labels))


def _accuracy(layers: nn.Module, codes: np.ndarray, labels: np.ndarray) -> float:
    with torch.no_grad():
        scores = layers(torch.from_numpy(np.ascontiguousarray(codes, dtype=np.float32)))
    return float((scores.argmax(1).numpy() == labels).mean())


def _glorot(inputs: int, outputs: int, generator: Generator) -> nn.Module:
    limit = (6 / (inputs + outputs)) ** 0.5
    # Without its own start, which would draw from the global generator.
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    with torch.no_grad():
        layer.weight.uniform_(-limit, limit, generator=generator)
        layer.bias.zero_()
    return layer

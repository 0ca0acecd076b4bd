"""The options of a fit, all resolved; and what one kind of fit may do otherwise than another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from narrows.likelihoods import Likelihood

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Generator, Tensor

    from narrows.data.moments import Moments
    from narrows.data.rows import Rows
    from narrows.networks import LinearInit, Network
    from narrows.networks.model import EncoderDecoder
    from narrows.training.objective import LossParts
    from narrows.training.optimisers import Optimizer
    from narrows.training.schedules import Schedule

__all__ = ["AUTO", "FitConfig", "Objective", "TrainingOptions"]

AUTO = Likelihood()
"""Stands for the likelihood that the data is still to decide."""


@dataclass(frozen=True)
class TrainingOptions:
    """What a user may set of the training; None leaves it to the defaults."""

    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float | None
    batch_size: int | None
    max_epochs: int | None
    patience: int | None
    max_seconds: float | None


class Objective(ABC):
    """What a model is trained for, and all by which its fit differs from another's."""

    ordered: ClassVar[bool] = False
    """Whether leading parts of the code are to be codes by themselves."""
    posterior: ClassVar[bool] = False
    """Whether the encoder gives a distribution of codes, and the likelihood must be a density."""
    n_labels: int = 0
    """How many labels the decoder is conditioned on."""

    @abstractmethod
    def loss(self, model: Any, batch: Any, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return the loss of each row of a batch; without a generator nothing random happens."""

    @abstractmethod
    def kind(self, network: Network) -> str:
        """Return what is fitted: a key of :data:`narrows.fitting.defaults.FLOP_BUDGETS`."""

    @abstractmethod
    def inputs(self, rows: Rows, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield blocks of clean rows and the encoder's input for them, the same for the same seed."""

    def corrupts(self, rows: Rows) -> bool:
        """Say whether the encoder's input differs from the clean rows while training."""
        return False

    def unit(self, model: EncoderDecoder) -> float:
        """Return what brings losses to the unit that they are reported in."""
        return 1.0

    def hopeless(self, model: EncoderDecoder, start: LinearInit) -> float | None:
        """Return how far a held-out loss may rise before the training counts as diverged."""
        return None

    def is_squared_error(self, model: EncoderDecoder) -> bool:
        """Say whether the loss of a row is its squared error, in the model's scaled units."""
        return False

    def refits(self, network: Network) -> bool:
        """Say whether fits to a little more or less data end near one another."""
        return network.starts_linear

    def keeps_linear_init(self, moments: Moments, network: Network, validation_fraction: float | None) -> bool:
        """Say whether, without held-out rows, the linear start is all that the data can support."""
        return False

    def plain(self) -> Objective | None:
        """Return the objective of the plain autoencoder that reconstructions are compared with, if any."""
        return None

    def nll(
        self, model: Any, start: LinearInit, train: Rows, rows: Rows, moments: Moments, seed: int
    ) -> dict[str, float]:
        """Return the mean cost of rows, in nats, under the model and under the trivial densities."""
        return {}

    def statistics(self, model: Any, rows: Rows) -> dict[str, float]:
        """Return what else a history record says of the model, from some rows."""
        return {}

    def complete(self, record: dict[str, Any]) -> dict[str, Any]:
        """Add to a history record what follows from its losses."""
        return record


@dataclass(frozen=True)
class FitConfig:
    """All options of a fit, resolved.

    Attributes
    ----------
    levels : tuple of int
        How many columns each block of a category has, at the end of the rows.
    names : list of str or None
        Of the columns.
    """

    n_components: int
    network: Network
    likelihood: Likelihood
    objective: Objective
    missing: bool
    scaling: str
    training: TrainingOptions
    validation_fraction: float | None
    early_stopping: bool
    device: torch.device
    seed: int
    names: list[str] | None
    image_shape: tuple[int, int, int] | None = None
    levels: tuple[int, ...] = ()

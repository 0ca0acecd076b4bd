"""What a variational autoencoder minimises: reconstruction plus KL, the negative of the evidence lower bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from narrows.data.rows import Pair
from narrows.training.objective import LossParts

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

    from narrows.data.rows import Rows
    from narrows.networks.model import VariationalModel

__all__ = ["ACTIVE_VARIANCE", "KLWeight", "NegativeElbo", "active_components", "kl_to_normal"]

ACTIVE_VARIANCE = 0.01
"""Variance of its mean over rows above which a number of the code is active (Burda, Grosse, Salakhutdinov 2016)."""

WATCHED_ROWS = 2000

KNOWN_LABEL = 0.9
"""Chance that the decoder is told a row's label while training; otherwise it learns to do without."""


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of normal distributions from the standard one, for each number of the code.

    The closed form ``(mean**2 + variance - 1 - log(variance)) / 2`` (Kingma and Welling 2014, appendix B), in nats;
    summed over the code it is the KL of a row.

    Parameters
    ----------
    mean, log_variance : Tensor, shape (rows, n_components)
        Of the distributions.

    Examples
    --------
    >>> import torch
    >>> kl_to_normal(torch.zeros(1, 2), torch.zeros(1, 2)).sum(1)
    tensor([0.])
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2


def active_components(model: VariationalModel, rows: Rows) -> int:
    """Count the numbers of the code whose means differ between rows.

    Parameters
    ----------
    model : VariationalModel
        The pipeline.
    rows : Rows
        What to look at; the first 2,000 are.
    """
    device = next(model.parameters()).device
    block = next(rows.blocks(min(WATCHED_ROWS, rows.n_rows)))
    given = block.rows if isinstance(block, Pair) else block
    with torch.no_grad():
        mean = model.posterior(model.standardise(given.to(device)))[0]
    return int((mean.double().var(0, correction=0) > ACTIVE_VARIANCE).sum())


@dataclass(frozen=True)
class KLWeight:
    """How the KL counts beside the reconstruction.

    Attributes
    ----------
    beta : float
        Its weight in the end.
    warmup : float
        Share of the training over which the weight rises from zero in a straight line.
    free_bits : float
        Nats of each number of the code that cost nothing, on the average of a batch.
    """

    beta: float = 1.0
    warmup: float = 0.0
    free_bits: float = 0.0

    def at(self, progress: float) -> float:
        """Return the weight when this much of the training is done, 0 to 1.

        Examples
        --------
        >>> [KLWeight(2.0, warmup=0.5).at(progress) for progress in (0, 0.25, 0.5, 1)]
        [0.0, 1.0, 2.0, 2.0]
        """
        return self.beta if self.warmup <= 0 else self.beta * min(1.0, progress / self.warmup)


class NegativeElbo:
    """The cost of rebuilding rows from codes drawn around their means, and the KL of these draws from the prior.

    Parameters
    ----------
    model : VariationalModel
        What is trained.
    weight : KLWeight
        How the KL counts.
    corrupt : callable, optional
        From float rows in the data's units and a generator to corrupted rows, which the encoder is shown instead.
    n_labels : int, default 0
        Number of labels the decoder knows; batches are then pairs of rows and label numbers, -1 for none.
    sampled : bool, default True
        Whether codes are drawn; otherwise they are their means, as in a plain autoencoder.
    """

    def __init__(
        self,
        model: VariationalModel,
        weight: KLWeight,
        corrupt: Callable[[Tensor, Generator], Tensor] | None = None,
        n_labels: int = 0,
        *,
        sampled: bool = True,
    ) -> None:
        self.model, self.weight, self.corrupt = model, weight, corrupt
        self.n_labels, self.sampled = n_labels, sampled

    def __call__(self, batch: Any, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return reconstruction and KL of each row, in nats."""
        model, head = self.model, self.model.head
        given, labels = self._parted(batch, generator)
        x = head.binarize(given, generator)
        z = model.standardise(x)
        mean, log_variance = model.posterior(self._shown(x, z, generator))
        code = mean
        if self.sampled and generator is not None:
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            code = torch.addcmul(mean, torch.exp(log_variance / 2), noise)
        reconstruction = head.nll_per_row(model.decode(code, labels), x, z)
        single = kl_to_normal(mean, log_variance)
        kl = single.sum(1)
        parts = {"reconstruction_loss": reconstruction, "kl_loss": kl}
        weight = self.weight.at(progress)
        if model.training and self.weight.free_bits > 0:
            # Kingma et al. 2016, section 4.1.1: numbers that carry less than that, on average, cost no more for it.
            paid = torch.where(single.detach().mean(0) > self.weight.free_bits, single, self.weight.free_bits)
            return LossParts(parts, reconstruction + weight * paid.sum(1))
        return LossParts(parts, None if weight == 1 else reconstruction + weight * kl)

    def _parted(self, batch: Any, generator: Generator | None) -> tuple[Tensor, Tensor | None]:
        if not self.n_labels:
            return batch, None
        rows, numbers = (batch.rows, batch.beside[:, 0]) if isinstance(batch, Pair) else (batch, None)
        labels = torch.zeros(len(rows), self.n_labels, device=rows.device)
        if numbers is not None:
            known = numbers >= 0
            if self.model.training and generator is not None:
                known &= torch.rand(len(rows), generator=generator, device=rows.device) < KNOWN_LABEL
            labels[known, numbers[known].long()] = 1.0
        return rows, labels

    def _shown(self, x: Tensor, z: Tensor, generator: Generator | None) -> Tensor:
        if self.corrupt is None or generator is None or not self.model.training:
            return z
        return self.model.standardise(self.corrupt(x if x.is_floating_point() else x.float(), generator))

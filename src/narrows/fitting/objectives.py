"""What models are trained for: to reconstruct rows, from a whole code or its leading parts, or to maximise the ELBO."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from narrows.data.rows import Pair, PairedRows, plain_rows
from narrows.fitting import baselines
from narrows.fitting.config import Objective
from narrows.likelihoods import GaussianOutput
from narrows.training.objective import LossParts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Generator, Tensor

    from narrows.data.moments import Moments
    from narrows.data.rows import Rows
    from narrows.networks import LinearInit, Network
    from narrows.networks.model import EncoderDecoder, VariationalModel

    Corrupt = Callable[[Tensor, Generator], Tensor]

__all__ = [
    "BLOCK_ROWS",
    "KLWeight",
    "NegativeElbo",
    "OrderedReconstruction",
    "Reconstruction",
    "corrupted_std",
    "kl_to_normal",
]

BLOCK_ROWS = 1024
"""Held-out rows always come in blocks of this many: the noise on each is then the same every time."""

LITTLE = 1e-2
"""Fraction of the largest error below which a smaller one no longer counts for more."""

ACTIVE_VARIANCE = 0.01
"""Variance of its mean over rows above which a number of the code is active (Burda, Grosse, Salakhutdinov 2016)."""

ACTIVITY_ROWS = 2000

KNOWN_LABEL = 0.9
"""Probability that the decoder is given a row's label while training; otherwise it learns to do without."""


def corrupted_std(objective: Objective, rows: Rows, seed: int, standardise: Any) -> Tensor:
    """Return the standard deviation of each column of the encoder's input, from the first few blocks."""
    blocks = islice(objective.inputs(rows, seed), 4)
    return torch.cat([standardise(corrupted) for _, corrupted in blocks]).double().std(0, correction=0)


@dataclass(frozen=True)
class Reconstruction(Objective):
    """To rebuild clean rows from the encoder's input for them.

    That is the row itself, a corrupted copy (afresh at each step; for held-out rows the same each time, so that
    evaluations can be compared), or another row that stands beside it.

    Attributes
    ----------
    corrupt : callable or None
        From float rows in the data's units and a generator to corrupted rows.
    """

    corrupt: Corrupt | None = None

    def loss(self, model: EncoderDecoder, batch: Any, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return the cost of rebuilding each row."""
        clean, corrupted = self._corrupted(batch, generator)
        standardise = model.standardise
        z = standardise(clean)
        output = model.output(z if corrupted is clean else standardise(corrupted))
        return LossParts({"reconstruction": model.head.nll_per_row(output, clean, z)})

    def _corrupted(self, batch: Any, generator: Generator | None) -> tuple[Tensor, Tensor]:
        """Part a batch into clean rows and the encoder's input for them."""
        clean, beside = (batch.rows, batch.beside) if isinstance(batch, Pair) else (batch, batch)
        if self.corrupt is None or generator is None:
            return clean, beside
        floats = beside if beside.is_floating_point() else beside.float()
        corrupted = self.corrupt(floats, generator)
        if corrupted.shape != floats.shape:
            raise ValueError(f"the corruption turned rows of shape {tuple(floats.shape)} into {tuple(corrupted.shape)}")
        return clean, corrupted

    def kind(self, network: Network) -> str:
        """Return what is fitted."""
        if not network.has_code:
            return "skips"
        if network.of_images:
            return "convolutional"
        if self.ordered:
            return "ordered"
        return "dense" if self.corrupt is None else "corrupted"

    def inputs(self, rows: Rows, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield blocks of clean rows and the encoder's input for them."""
        generator = torch.Generator().manual_seed(seed + 1)
        for block in rows.blocks(BLOCK_ROWS):
            yield self._corrupted(block, generator)

    def corrupts(self, rows: Rows) -> bool:
        """Say whether there is a corruption, or other rows beside the clean ones."""
        return self.corrupt is not None or isinstance(rows, PairedRows)

    def unit(self, model: EncoderDecoder) -> float:
        """Return the unit of the likelihood, for each value."""
        return model.head.unit / model.head.n_features

    def hopeless(self, model: EncoderDecoder, start: LinearInit) -> float | None:
        """Return ten times the loss of a model that says nothing: no fit gets there but one that runs away."""
        return None if model.head.unbounded else 10 * (float(start.std.square().sum()) + start.n_features)

    def is_squared_error(self, model: EncoderDecoder) -> bool:
        """Say whether the likelihood is squared error."""
        return isinstance(model.head, GaussianOutput)

    def keeps_linear_init(self, moments: Moments, network: Network, validation_fraction: float | None) -> bool:
        """Say whether there are too few rows, by default fewer than ten, or rows without any variance."""
        too_few = network.starts_linear and moments.n_rows < 10 and validation_fraction is None
        return too_few or not bool((moments.variance > 0).any())


@dataclass(frozen=True)
class OrderedReconstruction(Reconstruction):
    """To rebuild rows from the first 2, 4, 8, ... numbers of their codes: the geometric mean of the costs.

    The geometric mean, whose gradient is that of the logarithms, since errors fall tenfold from the smallest code to
    the largest and each size is to come near what a model of that size alone would reach. The idea of a loss over
    leading parts of a code: nested dropout (Rippel, Gelbart and Adams 2014) and Matryoshka representations (Kusupati
    et al. 2022); here all sizes are trained at every step, each with a decoder of its own.
    """

    ordered: ClassVar[bool] = True

    def loss(self, model: EncoderDecoder, batch: Any, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return the geometric mean of the costs of each row."""
        clean, corrupted = self._corrupted(batch, generator)
        z = model.standardise(clean)
        code = model.encoder[1](z if corrupted is clean else model.standardise(corrupted))
        cuts = generator if model.training else None
        outputs: list[Tensor] = model.decoder[1].outputs(code, cuts)  # type: ignore[operator]
        costs = [model.head.nll_per_row(output, clean, z) for output in outputs]
        # Costs weighed so that their sum is the geometric mean, and its gradient theirs.
        means = torch.stack([cost.detach().mean() for cost in costs]).clamp_min(1e-30)
        # A size at which next to nothing is left must not outweigh all others.
        means = means + LITTLE * means.max()
        mean = means.log().mean().exp()
        parts = [cost * (mean / (len(costs) * own)) for cost, own in zip(costs, means, strict=True)]
        return LossParts({"reconstruction": torch.stack(parts).sum(0)})

    def is_squared_error(self, model: EncoderDecoder) -> bool:
        """Deny it: the loss is of many sizes."""
        return False


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of normal distributions from the standard one, for each number of the code.

    The closed form ``(mean**2 + variance - 1 - log(variance)) / 2`` (Kingma and Welling 2014, appendix B), in nats;
    summed over the code it is the KL of a row.

    Examples
    --------
    >>> import torch
    >>> kl_to_normal(torch.zeros(1, 2), torch.zeros(1, 2)).sum(1)
    tensor([0.])
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2


@dataclass(frozen=True)
class KLWeight:
    """How the KL counts beside the reconstruction.

    Attributes
    ----------
    beta : float
        Its weight in the end.
    warmup : float
        Fraction of the training over which the weight rises from zero in a straight line.
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


@dataclass(frozen=True)
class NegativeElbo(Objective):
    """To rebuild rows from codes drawn around their means, while these draws are kept near the prior.

    Attributes
    ----------
    weight : KLWeight
        How the KL counts.
    corrupt : callable or None
        From float rows in the data's units and a generator to corrupted rows, which are its input in training.
    n_labels : int
        Number of labels the decoder knows; batches are then pairs of rows and label numbers, -1 for none.
    sampled : bool
        Whether codes are drawn; otherwise they are their means, as in a plain autoencoder.
    """

    weight: KLWeight
    corrupt: Corrupt | None = None
    n_labels: int = 0
    sampled: bool = True

    posterior: ClassVar[bool] = True

    def loss(
        self, model: VariationalModel, batch: Any, generator: Generator | None, progress: float = 1.0
    ) -> LossParts:
        """Return reconstruction and KL of each row, in nats."""
        head, training = model.head, model.training
        rows, labels = self._labelled(batch, generator, training=training)
        x = head.binarize(rows, generator)
        z = corrupted = model.standardise(x)
        if self.corrupt is not None and generator is not None and training:
            corrupted = model.standardise(self.corrupt(x if x.is_floating_point() else x.float(), generator))
        mean, log_variance = model.posterior(corrupted)
        code = mean
        if self.sampled and generator is not None:
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            code = torch.addcmul(mean, torch.exp(log_variance / 2), noise)
        reconstruction = head.nll_per_row(model.decode(code, labels), x, z)
        single = kl_to_normal(mean, log_variance)
        kl = single.sum(1)
        parts = {"reconstruction_loss": reconstruction, "kl_loss": kl}
        weight = self.weight.at(progress)
        if training and self.weight.free_bits > 0:
            # Kingma et al. 2016, section 4.1.1: numbers that carry less than that, on average, cost no more for it.
            paid = torch.where(single.detach().mean(0) > self.weight.free_bits, single, self.weight.free_bits)
            return LossParts(parts, reconstruction + weight * paid.sum(1))
        return LossParts(parts, None if weight == 1 else reconstruction + weight * kl)

    def _labelled(self, batch: Any, generator: Generator | None, *, training: bool) -> tuple[Tensor, Tensor | None]:
        """Part a batch into rows and a column for each label, some of them withheld while training."""
        if not self.n_labels:
            return batch, None
        rows, numbers = (batch.rows, batch.beside[:, 0]) if isinstance(batch, Pair) else (batch, None)
        labels = torch.zeros(len(rows), self.n_labels, device=rows.device)
        if numbers is not None:
            known = numbers >= 0
            if training and generator is not None:
                known &= torch.rand(len(rows), generator=generator, device=rows.device) < KNOWN_LABEL
            labels[known, numbers[known].long()] = 1.0
        return rows, labels

    def kind(self, network: Network) -> str:
        """Return what is fitted."""
        return "variational images" if network.of_images else "variational"

    def inputs(self, rows: Rows, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield blocks of rows as they are."""
        for block in plain_rows(rows).blocks(BLOCK_ROWS):
            yield block, block

    def refits(self, network: Network) -> bool:
        """Say that fits end near one another, as far as the KL sees to it."""
        return True

    def plain(self) -> NegativeElbo:
        """Return the objective without noise, KL, labels or corruption."""
        return NegativeElbo(KLWeight(beta=0.0), sampled=False)

    def nll(
        self, model: VariationalModel, start: LinearInit, train: Rows, rows: Rows, moments: Moments, seed: int
    ) -> dict[str, float]:
        """Return minus the bound of the model, and the cost under independent features and probabilistic PCA."""
        device = next(model.parameters()).device
        generator = torch.Generator(device).manual_seed(seed + 1)
        with torch.no_grad():
            losses = LossParts.joined(self.loss(model.eval(), b.to(device), generator) for b in rows.blocks(BLOCK_ROWS))
        bare, head = plain_rows(rows), model.head.cpu()
        costs = {
            "model": float(sum(part.double().mean() for part in losses.parts.values())),
            "independent": baselines.independent_nll(plain_rows(train), bare, head, moments),
            "ppca": baselines.ppca_nll(bare, head, start),
        }
        model.to(device)
        return {name: nats for name, nats in costs.items() if nats is not None}

    def statistics(self, model: VariationalModel, rows: Rows) -> dict[str, float]:
        """Count the numbers of the code whose means differ between the first 2,000 rows."""
        block = next(plain_rows(rows).blocks(min(ACTIVITY_ROWS, rows.n_rows)))
        with torch.no_grad():
            mean = model.posterior(model.standardise(block.to(next(model.parameters()).device)))[0]
        return {"active_components": int((mean.double().var(0, correction=0) > ACTIVE_VARIANCE).sum())}

    def complete(self, record: dict[str, Any]) -> dict[str, Any]:
        """Add the total of the losses as they are in the end, when the KL has its whole weight."""
        result = dict(record)
        for start in ("", "val_"):
            if f"{start}kl_loss" in record:
                parts = record[f"{start}reconstruction_loss"], record[f"{start}kl_loss"]
                result[f"{start}total_loss"] = parts[0] + self.weight.beta * parts[1]
        return result

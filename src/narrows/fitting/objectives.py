"""What models are trained for: to reconstruct rows, from a whole code or its leading parts, or to maximise the ELBO.

And what rows cost under the trivial densities that the ELBO is held against: independent features, probabilistic PCA.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from narrows.data.moments import Moments
from narrows.data.rows import Pair, PairedRows, Rows, plain_rows
from narrows.likelihoods import GaussianOutput, MixedOutput, NormalOutput, OutputDistribution, Standardise
from narrows.networks import LinearInit, Network
from narrows.networks.model import EncoderDecoder, VariationalModel, observed
from narrows.priors import kl_to_normal
from narrows.training.loop import LossParts
from narrows.training.schedules import KLWeight

Corrupt = Callable[[Tensor, Generator], Tensor]

BLOCK_ROWS = 1024
"""Held-out rows always come in blocks of this many: the noise on each is then the same every time."""

LITTLE = 1e-2
"""Fraction of the largest error below which a smaller one no longer counts for more."""

ACTIVE_VARIANCE = 0.01
"""Variance of its mean over rows above which a number of the code is active (Burda, Grosse, Salakhutdinov 2016)."""

ACTIVITY_ROWS = 2000

KNOWN_LABEL = 0.9
"""Probability that the decoder is given a row's label while training; otherwise it learns to do without."""

MAX_PPCA_COLUMNS = 2000


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
        """Return what is fitted: a key of :data:`narrows.fitting.settings.FLOP_BUDGETS`."""

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
class Reconstruction(Objective):
    """To rebuild clean rows from the encoder's input for them.

    That is the row itself, a corrupted copy (afresh at each step; for held-out rows the same each time, so that
    evaluations can be compared), or another row that stands beside it.
    """

    # From float rows in the data's units and a generator to corrupted rows.
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


@dataclass(frozen=True)
class NegativeElbo(Objective):
    """To rebuild rows from codes drawn around their means, while these draws are kept near the prior."""

    weight: KLWeight
    # Makes the input of rows in training.
    corrupt: Corrupt | None = None
    # Labels that the decoder knows; batches are then pairs of rows and label numbers, -1 for none.
    n_labels: int = 0
    # Whether codes are drawn; otherwise they are their means, as in a plain autoencoder.
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
            "independent": independent_nll(plain_rows(train), bare, head, moments),
            "ppca": ppca_nll(bare, head, start),
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


def independent_nll(train: Rows, held_out: Rows, head: OutputDistribution, moments: Moments) -> float:
    """Return the mean cost of held-out rows, in nats, under a model whose features are independent."""
    cost, total = head.independent_cost(moments, train), 0.0
    for block in held_out.blocks(BLOCK_ROWS):
        x = block.double()
        total += float(torch.nan_to_num(cost(x) * ~torch.isnan(x)).sum())
    return total / held_out.n_rows


def ppca_nll(held_out: Rows, head: OutputDistribution, start: LinearInit) -> float | None:
    """Return the mean cost of held-out rows, in nats, under probabilistic PCA with a code of the same size.

    Tipping and Bishop 1999, *Probabilistic principal component analysis*; the noise of each column is what its
    components leave of it, not less than the head's floor. None where the head has no normal noise.
    """
    if not isinstance(head, NormalOutput) or isinstance(head, MixedOutput) or start.n_features > MAX_PPCA_COLUMNS:
        return None
    floor = head.floor.double()
    components, variances = start.components, start.component_std.square()
    left = start.std.square() - (components.square() * variances).sum(1)
    noise = torch.maximum(left, floor)
    rest = float(left.clamp_min(0).mean())
    slopes = components * (variances - rest).clamp_min(0).sqrt()
    covariance = slopes @ slopes.T + torch.diag(noise)
    factor = torch.linalg.cholesky(covariance)
    standardise = head.standardise
    constant = factor.diagonal().log().sum() + len(floor) * math.log(2 * math.pi) / 2
    constant += standardise.scale64.log().expand(len(floor)).sum()
    total = 0.0
    for block in held_out.blocks(BLOCK_ROWS):
        z = (block.double() - standardise.shift64) / standardise.scale64 - start.center
        if torch.isnan(z).any():
            return None
        whitened = torch.linalg.solve_triangular(factor, z.T, upper=False)
        total += float(whitened.square().sum() / 2 + constant * len(z))
    return total / held_out.n_rows


def simple_errors(
    blocks: Iterable[tuple[Tensor, Tensor]], standardise: Standardise, start: LinearInit
) -> dict[str, Tensor]:
    """Measure what the mean row and PCA leave unexplained of each row."""
    components, center = start.components.float(), start.center.float()
    found: dict[str, list[Tensor]] = {}

    def add(name: str, values: Tensor) -> None:
        found.setdefault(name, []).append(values.sum(1, dtype=torch.float64))

    for clean, corrupted in blocks:
        z = standardise(clean) - center
        known = observed(clean)
        seen = z if corrupted is clean else standardise(corrupted) - center
        rebuilt = (seen @ components) @ components.T
        add("values", known)
        add("mean", z.square() * known)
        add("pca", (z - rebuilt).square() * known)
        if corrupted is not clean:
            add("input", (z - seen).square() * known)
    return {name: torch.cat(parts) for name, parts in found.items()}

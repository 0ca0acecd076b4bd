"""What a variational fit is held against: bits of a model without dependence, of PCA, and plain reconstructions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from narrows.data.rows import plain_rows
from narrows.likelihoods import BernoulliOutput, DiscretisedLogisticOutput, MixedOutput, NormalOutput

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.data.rows import Rows
    from narrows.likelihoods import OutputDistribution
    from narrows.networks import LinearInit
    from narrows.training.moments import Moments

__all__ = ["independent_cost", "ppca_cost", "values_of"]

BLOCK = 1024
MOST_PPCA_COLUMNS = 2000


def values_of(rows: Rows, missing: bool) -> int:
    """Count the observed values of rows."""
    if not missing:
        return rows.n_rows * rows.n_features
    return int(sum((~torch.isnan(block)).sum() for block in plain_rows(rows).blocks(BLOCK)))


def independent_cost(train: Rows, held_out: Rows, head: OutputDistribution, moments: Moments) -> float:
    """Return the mean cost of held-out rows, in nats, under a model whose features are independent.

    Of the same kind as the head: a chance for each binary column, a normal density for each column, or a histogram
    of whole numbers.

    Parameters
    ----------
    train, held_out : Rows
        What the model is fitted to, and what it is measured on.
    head : OutputDistribution
        The likelihood of the model that is held against it.
    moments : Moments
        Of the training rows.
    """
    if isinstance(head, DiscretisedLogisticOutput):
        table = _histogram(train, head)
    total = 0.0
    rows = plain_rows(held_out)
    for block in rows.blocks(BLOCK):
        x = block.double()
        if isinstance(head, BernoulliOutput):
            # One more of each, so that nothing is impossible (Laplace).
            chance = (moments.mean * moments.count / head.top.double() + 1) / (moments.count + 2)
            logits = torch.logit(chance).expand_as(x)
            target = torch.nan_to_num(x) / head.top.double()
            cost = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        elif isinstance(head, DiscretisedLogisticOutput):
            cost = _looked_up(table, x, head)
        else:
            assert isinstance(head, NormalOutput)
            scale = head.standardise.scale64
            variance = moments.variance + (head.floor.double() * scale.square())
            cost = (x - moments.mean).square() / (2 * variance) + (2 * math.pi * variance).log() / 2
            if isinstance(head, MixedOutput):
                # One more row of each category.
                seen = moments.mean * moments.count
                chances = [(part + 1) / (part + 1).sum() for part in seen[head.n_numbers :].split(head.levels)]
                cost[:, head.n_numbers :] = -x[:, head.n_numbers :] * torch.cat(chances).log()
        total += float(torch.nan_to_num(cost * ~torch.isnan(x)).sum())
    return total / rows.n_rows


def _histogram(train: Rows, head: DiscretisedLogisticOutput) -> np.ndarray:
    low, high = int(head.low), int(head.high)
    table = np.ones((train.n_features, high - low + 1))
    columns = np.arange(train.n_features)
    for block in plain_rows(train).blocks(BLOCK):
        values = block.numpy().astype(np.int64) - low
        np.add.at(table, (np.broadcast_to(columns, values.shape), values), 1.0)
    return -np.log(table / table.sum(1, keepdims=True))


def _looked_up(table: np.ndarray, x: Tensor, head: DiscretisedLogisticOutput) -> Tensor:
    low, high = int(head.low), int(head.high)
    values = x.numpy().astype(np.int64).clip(low, high) - low
    return torch.from_numpy(table[np.arange(table.shape[0]), values])


def ppca_cost(held_out: Rows, head: OutputDistribution, start: LinearInit) -> float | None:
    """Return the mean cost of held-out rows, in nats, under probabilistic PCA with a code of the same size.

    Tipping and Bishop 1999, *Probabilistic principal component analysis*; the noise of each column is what its
    components leave of it, not less than the head's floor. None where the head has no normal noise.
    """
    if not isinstance(head, NormalOutput) or isinstance(head, MixedOutput) or start.n_features > MOST_PPCA_COLUMNS:
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
    for block in plain_rows(held_out).blocks(BLOCK):
        z = (block.double() - standardise.shift64) / standardise.scale64 - start.center
        if torch.isnan(z).any():
            return None
        whitened = torch.linalg.solve_triangular(factor, z.T, upper=False)
        total += float(whitened.square().sum() / 2 + constant * len(z))
    return total / held_out.n_rows

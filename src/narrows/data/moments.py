"""One pass over the rows: mean, variance, covariance and extremes; and from them the principal components.

All in bounded memory, so that it serves arrays and files alike. Sums are kept about a shift near the mean and
added up in float64, so that columns with a large offset lose no digits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from narrows.data.rows import Rows, plain_rows
from narrows.errors import DataError

__all__ = ["Moments", "check_magnitudes", "measure", "principal_components"]

MATRIX_LIMIT = 1024
"""Up to this many columns the whole covariance matrix is kept; beyond it the components take passes of their own."""

BLOCK_VALUES = 2**20

MAX_MAGNITUDE = 2e19
"""Values beyond this are refused: single precision overflows where they are squared. All integers are within it."""


@dataclass(frozen=True)
class Moments:
    """What one pass over rows tells; every array has one entry a column.

    Attributes
    ----------
    n_rows : int
        Rows seen.
    count : Tensor of float64
        Values seen, less those missing.
    mean : Tensor of float64
        Over the values that are not missing.
    scatter : Tensor of float64, shape (n_features, n_features) or (n_features,)
        Sum of products about the mean, missing values counted as the mean; only its diagonal when there are more
        than ``MATRIX_LIMIT`` columns.
    minimum, maximum : Tensor of float64
        The extremes.
    at_minimum, at_maximum : Tensor of float64
        How many values equal them.
    is_integer : Tensor of bool
        Which columns have whole numbers only.
    """

    n_rows: int
    count: Tensor
    mean: Tensor
    scatter: Tensor
    minimum: Tensor
    maximum: Tensor
    at_minimum: Tensor
    at_maximum: Tensor
    is_integer: Tensor

    @property
    def variance(self) -> Tensor:
        """Variance of each column over its observed values."""
        diagonal = self.scatter.diagonal() if self.scatter.ndim == 2 else self.scatter
        return (diagonal / self.count.clamp_min(1)).clamp_min(0)

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the extremes; zeros where nothing was observed."""
        low, high = self.minimum.numpy(), self.maximum.numpy()
        return np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)

    def pooled(self) -> Moments:
        """Return the moments with the extremes of all columns together: the pixels of an image share their range."""
        low, high = self.minimum.min(), self.maximum.max()

        def pool(counts: Tensor, extremes: Tensor, extreme: Tensor) -> Tensor:
            part = (counts * (extremes == extreme)).sum() / self.count.sum().clamp_min(1)
            return part * self.count

        return replace(
            self,
            minimum=low.expand_as(self.minimum),
            maximum=high.expand_as(self.maximum),
            at_minimum=pool(self.at_minimum, self.minimum, low),
            at_maximum=pool(self.at_maximum, self.maximum, high),
        )

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows together (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        gap = other.mean - self.mean
        mean = self.mean + gap * other.count / count.clamp_min(1)
        if self.scatter.ndim == 2:
            weight = self.n_rows * other.n_rows / max(1, self.n_rows + other.n_rows)
            scatter = self.scatter + other.scatter + weight * torch.outer(gap, gap)
        else:
            scatter = self.scatter + other.scatter + gap**2 * self.count * other.count / count.clamp_min(1)
        minimum = torch.minimum(self.minimum, other.minimum)
        maximum = torch.maximum(self.maximum, other.maximum)
        return Moments(
            self.n_rows + other.n_rows,
            count,
            mean,
            scatter,
            minimum,
            maximum,
            _count_kept(self.minimum, self.at_minimum, other.minimum, other.at_minimum, minimum),
            _count_kept(self.maximum, self.at_maximum, other.maximum, other.at_maximum, maximum),
            self.is_integer & other.is_integer,
        )


def _count_kept(a: Tensor, at_a: Tensor, b: Tensor, at_b: Tensor, extreme: Tensor) -> Tensor:
    return at_a * (a == extreme) + at_b * (b == extreme)


def measure(rows: Rows, *, allow_missing: bool = False, names: list[str] | None = None) -> Moments:
    """Measure rows in one pass; NaN is a missing value where that is allowed, infinite values are always refused."""
    block_rows = int(np.clip(BLOCK_VALUES // max(1, rows.n_features), 64, 4096))
    total: Moments | None = None
    shift: Tensor | None = None
    for block in rows.blocks(block_rows):
        if shift is None:
            shift = torch.nan_to_num(block.double().nanmean(0))
        # Most floats show in the first block that no column has integers only.
        look = total is None or bool(total.is_integer.any())
        part = _measure_block(block, shift, allow_missing=allow_missing, names=names, look=look)
        total = part if total is None else total.merge(part)
    if total is None:
        raise DataError("there are no rows to learn from")
    return total


def _measure_block(
    block: Tensor, shift: Tensor, *, allow_missing: bool, names: list[str] | None, look: bool
) -> Moments:
    n_rows, n_features = block.shape
    wide = block.dtype in (torch.float64, torch.int64, torch.int32)
    # float32 about a shift near the mean is exact enough where float64 would cost time.
    exact = wide and n_rows * n_features**2 < 10**9
    centred = (
        block - shift
        if wide
        else block.float().sub_(shift.float())
        if block.dtype != torch.float32
        else block - shift.float()
    )
    sums = centred.sum(0).double()
    count = torch.full((n_features,), float(n_rows), dtype=torch.float64)
    low = high = block
    if block.is_floating_point() and not torch.isfinite(sums).all():
        missing = torch.isnan(block)
        _refuse(block, missing, allow_missing=allow_missing, names=names)
        centred = centred.masked_fill_(missing, 0.0)
        sums = centred.sum(0).double()
        count -= missing.sum(0)
        low, high = block.masked_fill(missing, torch.inf), block.masked_fill(missing, -torch.inf)
    if not exact:
        centred = centred.float()
    gap = sums / count.clamp_min(1)
    if n_features <= MATRIX_LIMIT:
        imputed = sums / n_rows
        scatter = (centred.T @ centred).double() - n_rows * torch.outer(imputed, imputed)
        # The diagonal is that of the observed values: missing ones sit at their column's mean, not at the shift.
        scatter.diagonal().add_(n_rows * imputed**2 - count * gap**2)
    else:
        scatter = centred.square().sum(0).double() - count * gap**2
    minimum, maximum = low.amin(0), high.amax(0)
    at_minimum, at_maximum = _count(low, minimum), _count(high, maximum)
    is_integer = torch.full((n_features,), look)
    if look and block.is_floating_point():
        is_integer = ((block == block.round()) | torch.isnan(block)).all(0)
    return Moments(
        n_rows, count, shift + gap, scatter, minimum.double(), maximum.double(), at_minimum, at_maximum, is_integer
    )


def _count(block: Tensor, value: Tensor) -> Tensor:
    # numpy counts ten times as fast down the columns as torch does.
    return torch.from_numpy(np.count_nonzero(block.numpy() == value.numpy(), axis=0)).double()


def _refuse(block: Tensor, missing: Tensor, *, allow_missing: bool, names: list[str] | None) -> None:
    def column(bad: Tensor) -> str:
        number = int(bad.any(0).nonzero()[0])
        return f"column {names[number]!r}" if names else f"column {number}"

    infinite = torch.isinf(block)
    if infinite.any():
        raise DataError(f"{column(infinite)} has an infinite value: replace it or leave the row out")
    if missing.any() and not allow_missing:
        raise DataError(
            f"{column(missing)} has missing values (NaN): missing='mask' learns around them, or fill them in first"
        )


def check_magnitudes(rows: Rows, moments: Moments, names: list[str] | None = None) -> None:
    """Refuse values that no model can be fitted to in single precision, by the column and row of the first."""
    extremes = torch.maximum(moments.minimum.abs(), moments.maximum.abs())
    bad = torch.isfinite(extremes) & (extremes > MAX_MAGNITUDE)
    if not bad.any():
        return
    column, start = int(bad.int().argmax()), 0
    for block in plain_rows(rows).blocks(4096):
        far = (block[:, column].double().abs() > MAX_MAGNITUDE).nonzero()
        if len(far):
            row = int(far[0])
            what = repr(names[column]) if names else str(column)
            raise DataError(
                f"column {what} holds {float(block[row, column]):g} in row {start + row}, beyond {MAX_MAGNITUDE:g}: "
                "correct it, leave the row out, or divide the column by a power of ten"
            )
        start += len(block)


def principal_components(
    rows: Rows, moments: Moments, scale: Tensor, n_components: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Find the principal components of ``(rows - mean) / scale``.

    From the covariance matrix where there is one, otherwise by randomised subspace iteration (Halko, Martinsson and
    Tropp 2011) with a few passes over the rows. Returned are orthonormal columns, the largest entry of each positive
    and zero beyond the rank of the data, and the standard deviation of the rows along each.
    """
    n_features = len(moments.mean)
    rank = min(n_components, n_features)
    if moments.scatter.ndim == 2:
        covariance = moments.scatter / max(1, moments.n_rows) / torch.outer(scale, scale)
        values, vectors = torch.linalg.eigh(covariance)
        variances, found = values.flip(0)[:rank], vectors.flip(1)[:, :rank]
    else:
        variances, found = _subspace(rows, moments.mean, scale, rank, seed)
    variances = variances.clamp_min(0)
    # Directions without variance carry noise only: no rows tell one from another.
    kept = variances > variances.max().clamp_min(1e-300) * 1e-10
    largest = found.gather(0, found.abs().argmax(0, keepdim=True)).sign()
    components = torch.zeros(n_features, n_components, dtype=torch.float64)
    components[:, :rank] = found * largest * kept
    stds = torch.zeros(n_components, dtype=torch.float64)
    stds[:rank] = variances.sqrt() * kept
    return components, stds


def _subspace(rows: Rows, mean: Tensor, scale: Tensor, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    n_features = len(mean)
    width = min(n_features, rank + 16)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(n_features, width, generator=generator))[0]
    shift, factor = mean.float(), scale.float()
    block_rows = int(np.clip(BLOCK_VALUES // n_features, 64, 8192))
    for _ in range(5):
        product = torch.zeros(n_features, width, dtype=torch.float64)
        for block in rows.blocks(block_rows):
            centred = torch.nan_to_num(
                (block - mean).float() if block.dtype == torch.float64 else block.float() - shift
            )
            centred = centred.div_(factor)
            product += centred.T @ (centred @ basis)
        basis, triangle = torch.linalg.qr(product)
        basis = basis.float()
    left, singular, _ = torch.linalg.svd(triangle)
    return singular[:rank] / max(1, rows.n_rows), (basis.double() @ left)[:, :rank]

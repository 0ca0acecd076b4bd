"""Scaling as the first and last layer, so that a model speaks in the data's own units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Scale", "Standardise"]


class Standardise(nn.Module):
    """Shift and scale columns: ``(x - shift) / scale``, in float32 whatever comes in.

    Integers and float64 are brought near zero before they lose digits. Missing values become zero, the mean.

    Parameters
    ----------
    shift, scale : Tensor of float64, shape (n_features,)
        What is subtracted, then what is divided by.
    missing : bool, default False
        Whether NaN may come in.
    """

    shift64: Tensor
    scale64: Tensor
    shift: Tensor
    factor: Tensor

    def __init__(self, shift: Tensor, scale: Tensor, *, missing: bool = False) -> None:
        super().__init__()
        self.missing = missing
        common = bool((scale == scale[0]).all())
        self.register_buffer("shift64", shift.double().clone())
        self.register_buffer("scale64", (scale[:1] if common else scale).double().clone())
        self.register_buffer("shift", shift.float(), persistent=False)
        self.register_buffer("factor", (1 / self.scale64).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised float32 rows."""
        if x.dtype in (torch.float64, torch.int64, torch.int32):
            z = ((x - self.shift64) / self.scale64).float()
        else:
            z = (x.float() - self.shift).mul_(self.factor)
        return torch.nan_to_num_(z, nan=0.0, posinf=torch.inf, neginf=-torch.inf) if self.missing else z

    @property
    def squared_unit(self) -> float:
        """Return what turns squared scaled units into the unit errors are told in.

        The data's own unit, squared, where all columns share a scale; where each has its own, one standard deviation
        of each column, since squares of different units cannot be added up.
        """
        return float(self.scale64) ** 2 if self.scale64.numel() == 1 else 1.0

    def inverse(self, z: Tensor) -> Tensor:
        """Return rows in the data's units, in the precision of ``z``."""
        shift = self.shift64 if z.dtype == torch.float64 else self.shift
        return torch.addcmul(shift, z, self.scale64.to(z.dtype))

    def _load_from_state_dict(self, state: dict, prefix: str, *args: object) -> None:
        super()._load_from_state_dict(state, prefix, *args)
        self.shift = self.shift64.float()
        self.factor = (1 / self.scale64).float()


class Scale(nn.Module):
    """Multiply by a number: codes leave in the data's units, as PCA's do, and come back.

    Parameters
    ----------
    factor : float
        The number.
    """

    factor: Tensor

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        """Return the product."""
        return x * self.factor

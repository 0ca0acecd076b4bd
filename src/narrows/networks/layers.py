"""Layers that narrows' own networks are made of; none lets a row's result depend on the rows beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Bias", "Linear", "LinearResidual", "Scale", "Standardise"]

STEADY_WIDTH = 16


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
        """Return what turns squared scaled units into the unit of errors.

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
    factor : Tensor
        The number.
    """

    factor: Tensor

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor.float())

    def forward(self, x: Tensor) -> Tensor:
        """Return the product."""
        return x * self.factor


class Linear(nn.Linear):
    """As :class:`torch.nn.Linear`, bit for bit the same for a row wherever it stands in a batch.

    Matrix libraries take other paths for results of few columns, and sum in an order that depends on where a row
    lies in memory. When not training, a narrow layer is therefore computed as one of sixteen columns.

    Parameters
    ----------
    weight : Tensor, shape (out_features, in_features)
        Copied; no random numbers are drawn.
    bias : Tensor, shape (out_features,)
        Copied.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = weight.shape
        self.weight = nn.Parameter(weight.detach().float().clone())
        self.bias = nn.Parameter(bias.detach().float().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x @ weight.T + bias``."""
        spare = STEADY_WIDTH - self.out_features
        if self.training or spare <= 0:
            return functional.linear(x, self.weight, self.bias)
        weight = functional.pad(self.weight, (0, 0, 0, spare))
        return functional.linear(x, weight, functional.pad(self.bias, (0, spare)))[:, : self.out_features]


class Bias(nn.Module):
    """Add a row that is learnt: a decoder begins with the mean row, and has what varies left to learn.

    Parameters
    ----------
    values : Tensor, shape (n,)
        To begin with.
    """

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(values.detach().float().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return x + self.bias


class LinearResidual(nn.Module):
    """A linear path plus a stack of layers that corrects it.

    Parameters
    ----------
    linear : torch.nn.Linear
        The path.
    layers : torch.nn.Module
        The correction; it sees ``clamp((x - center) * gain)`` and its result is multiplied by ``end``.
    fade : bool
        Whether the correction also fades for rows that the clamp has changed: with few rows to learn from, what it
        says of rows far from them is worth nothing.
    """

    def __init__(
        self,
        linear: nn.Linear,
        layers: nn.Module,
        *,
        center: Tensor | None = None,
        gain: Tensor,
        clamp: float | None,
        fade: bool = False,
        end: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.center: Tensor | None
        self.gain: Tensor
        self.end: Tensor | None
        self.linear = linear
        self.layers = layers
        self.clamp = clamp
        self.fade = fade and clamp is not None
        # Of what is still to be loaded it is not known whether there is anything to subtract.
        needed = center is not None and (center.is_meta or bool(center.any()))
        self.register_buffer("center", center.float() if center is not None and needed else None)
        self.register_buffer("gain", gain.float())
        self.register_buffer("end", None if end is None else end.float())

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *args: object) -> None:
        if prefix + "center" not in state:
            self.center = None
        super()._load_from_state_dict(state, prefix, *args)

    def forward(self, x: Tensor) -> Tensor:
        """Return path plus correction."""
        scaled = (x if self.center is None else x - self.center) * self.gain
        inner = scaled if self.clamp is None else torch.clamp(scaled, -self.clamp, self.clamp)
        correction = self.layers(inner)
        if self.fade:
            correction = correction / (1 + (scaled - inner).abs().amax(1, keepdim=True))
        if self.end is None:
            return self.linear(x) + correction
        return torch.addcmul(self.linear(x), correction, self.end)

"""Standard normal numbers that belong to a row: the same for the same row, whatever rows come with it.

Scores that draw from a posterior must not change from call to call, nor with the batch a row happens to stand in. So
its noise comes from a counter-based generator keyed by the row's own code (Salmon, Moraes, Dror and Shaw 2011,
*Parallel random numbers: as easy as 1, 2, 3*), with the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["row_keys", "row_normals"]


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _mix(value: Tensor) -> Tensor:
    """Scramble 64-bit numbers: every bit of the result depends on every bit given."""
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        value = (value ^ _shift(value, shift)) * factor
    return value ^ _shift(value, 31)


def _shift(value: Tensor, by: int) -> Tensor:
    # Torch shifts the sign in from the left; here zeros are meant.
    return (value >> by) & ((1 << (64 - by)) - 1)


def row_keys(codes: Tensor) -> Tensor:
    """Return a number for each row that any change of the row changes.

    Parameters
    ----------
    codes : Tensor of float32, shape (rows, n)
        What tells rows apart.

    Returns
    -------
    Tensor of int64, shape (rows,)
    """
    bits = codes.float().contiguous().view(torch.int32).to(torch.int64)
    columns = torch.arange(1, bits.shape[1] + 1, device=bits.device)
    return _mix(_mix(bits + columns * _GOLDEN).sum(1))


def row_normals(keys: Tensor, seed: int, draw: int, width: int) -> Tensor:
    """Return standard normal numbers for each row.

    Parameters
    ----------
    keys : Tensor of int64, shape (rows,)
        Of :func:`row_keys`.
    seed : int
        Another seed gives other numbers.
    draw : int
        Which draw of many.
    width : int
        How many numbers a row.

    Returns
    -------
    Tensor of float32, shape (rows, width)
    """
    counter = torch.arange(draw * width + 1, (draw + 1) * width + 1, device=keys.device)
    start = _mix(keys + _mix(torch.full_like(keys, seed)))
    random = _mix(start.unsqueeze(1) + counter * _GOLDEN)
    # One bit for the sign and 23 for the size: single precision tells apart small chances, not those near one.
    chance = ((_shift(random, 40) & (2**23 - 1)).float() + 0.5) * 2.0**-24
    return torch.special.ndtri(chance) * (1 - 2 * (random & 1)).float()

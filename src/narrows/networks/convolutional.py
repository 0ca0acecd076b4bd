"""Convolutional networks for images: residual blocks at falling resolution, mirrored on the way back.

With a code of a fixed size, both halves correct a linear path that starts at PCA, as the dense network's do::

    image ──┬── linear, starts at the principal components ────────────────────────┬─+──▶ code
            └── halve, blocks ── halve, blocks ── flatten ── last layer starts at 0 ┘
    code ──┬── linear, starts at the same components ──────────────────────────────┬─+──▶ image
           └── layer ── unflatten ── blocks, double ── blocks, double: starts at 0 ┘

With ``skips`` there is no code: at every resolution what the way down has found is added on the way up, and the
output is the input plus a correction that starts at zero (a U-Net, Ronneberger et al. 2015, with the residual
learning of Zhang et al. 2017, *Beyond a Gaussian denoiser*). Such a network takes images of any size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from narrows.likelihoods import OutputDistribution
from narrows.networks.base import LinearInit, Network
from narrows.networks.dense import ACTIVATIONS, CLAMP, add_linear_path
from narrows.networks.model import Bias, Linear
from narrows.options import check_numbers

KERNEL = 3


@dataclass(frozen=True)
class Convolutional(Network):
    """Residual convolutional blocks for images of one size, or with ``skips`` for denoising images of any size.

    Rows are images laid out flat, height by width by channels; their shape is the estimator's ``image_shape``, or
    that of the three- or four-dimensional array it is fitted to. No layer looks at other rows (no batch
    normalisation), so a row's result does not depend on its neighbours.

    Parameters
    ----------
    channels : tuple of int, default (32, 64)
        Feature maps at each resolution, the first at half the image's height and width, each further one at half the
        one before. The decoder has them in reverse.
    blocks : int, default 2
        Residual blocks (two 3 x 3 convolutions each) at each resolution, on the way down and on the way up.
    skips : bool, default False
        Whether the two halves are joined at each resolution. Best for denoising, but nothing passes through a narrow
        code then: ``transform`` is refused, ``denoise`` and ``reconstruct`` work.
    activation : str, default "silu"
        Between convolutions; one of those of :class:`~narrows.networks.Dense`.
    linear_path : bool or "auto", default "auto"
        Whether the layers correct a linear path that starts at PCA. ``"auto"``: wherever there is a code, except in a
        variational autoencoder with a likelihood other than normal.

    Examples
    --------
    >>> import numpy as np, narrows
    >>> from sklearn.datasets import load_digits
    >>> images = load_digits().images
    >>> network = narrows.networks.Convolutional((8, 16))
    >>> model = narrows.Autoencoder(8, network=network, max_epochs=1, random_state=0).fit(images)
    >>> model.transform(images).shape, model.reconstruct(images).shape
    ((1797, 8), (1797, 8, 8))
    """

    channels: tuple[int, ...] = (32, 64)
    blocks: int = 2
    skips: bool = False
    activation: str = "silu"
    linear_path: bool | str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = (self.channels,) if isinstance(self.channels, int) else tuple(self.channels)
        if not widths or not all(isinstance(w, int) and w > 0 for w in widths):
            raise ValueError(f"channels must be a tuple of numbers of feature maps, got {self.channels!r}")
        object.__setattr__(self, "channels", widths)
        check_numbers(self, "blocks", integer=True)
        if self.linear_path not in (True, False, "auto"):
            raise ValueError(f"linear_path must be True, False or 'auto', got {self.linear_path!r}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")

    @property
    def starts_linear(self) -> bool:
        """Whether the untrained network already is the linear start."""
        return not self.skips and self.linear_path is not False

    @property
    def of_images(self) -> bool:
        """Whether rows are images: scaled by one number, their shape known."""
        return True

    @property
    def has_code(self) -> bool:
        """Whether a code of a fixed size passes from the encoder to the decoder."""
        return not self.skips

    def build(self, start: LinearInit, head: OutputDistribution, generator: Generator) -> tuple[nn.Module, nn.Module]:
        """Make the encoder and its mirror."""
        assert start.image_shape is not None
        height, width, n_channels = start.image_shape
        # A head may take several numbers for each value: these are so many more images.
        copies = head.n_outputs // start.n_features
        down = Down((n_channels, *self.channels), self.blocks, self.activation)
        up = Up((n_channels * copies, *self.channels), self.blocks, self.activation)
        _initialise(down, generator)
        _initialise(up, generator)
        if self.skips or self.starts_linear:
            nn.init.zeros_(up.last.weight)
        if self.skips:
            return SkipEncoder(down, start.image_shape), SkipDecoder(up, start.image_shape)
        factor = 2 ** len(self.channels)
        small = (self.channels[-1], -(-height // factor), -(-width // factor))
        narrowing = torch.zeros(start.code_outputs, math.prod(small))
        if not self.starts_linear:
            narrowing.normal_(0.0, (1 / math.prod(small)) ** 0.5, generator=generator)
        into = nn.Sequential(
            ToMaps(start.image_shape), down, nn.Flatten(), Linear(narrowing, torch.zeros(start.code_outputs))
        )
        weight = torch.empty(math.prod(small), start.code_inputs)
        weight.normal_(0.0, (1 / start.code_inputs) ** 0.5, generator=generator)
        outof = nn.Sequential(
            Linear(weight, torch.zeros(math.prod(small))),
            nn.Unflatten(1, small),
            up,
            FromMaps(start.image_shape, copies),
        )
        if not self.starts_linear:
            return into, nn.Sequential(*outof, Bias(head.linear_init(start.components, start.center)[1]))
        common = start.seen.square().mean().sqrt()
        seen = torch.where(common > 0, common, torch.ones_like(common)).expand_as(start.std)
        return add_linear_path(into, outof, start, head, seen=seen, clamp=CLAMP)


def _initialise(module: nn.Module, generator: Generator) -> None:
    """Draw He normal weights (He et al. 2015); the second convolution of each residual block starts small."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            inputs = part.weight[0].numel()
            with torch.no_grad():
                part.weight.normal_(0.0, (2 / inputs) ** 0.5, generator=generator)
                if part.bias is not None:
                    part.bias.zero_()
    for part in module.modules():
        if isinstance(part, Block):
            with torch.no_grad():
                part.second.weight.mul_(0.1)


def _convolution(inputs: int, outputs: int, kernel: int, *, padding: int, stride: int = 1) -> nn.Conv2d:
    """Make a convolution whose weights are still to be drawn."""
    device = torch.get_default_device()
    return nn.utils.skip_init(nn.Conv2d, inputs, outputs, kernel, stride=stride, padding=padding, device=device)


class ToMaps(nn.Module):
    """Flat rows to feature maps (rows, channels, height, width), in the layout in which convolutions are fast."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.image_shape = image_shape

    def forward(self, x: Tensor) -> Tensor:
        """Return a view of shape (rows, channels, height, width)."""
        return x.reshape(-1, *self.image_shape).permute(0, 3, 1, 2)


class FromMaps(nn.Module):
    """Feature maps back to flat rows, cut to the image's size; with ``copies`` several images one after the other."""

    def __init__(self, image_shape: tuple[int, int, int], copies: int = 1) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.copies = copies

    def forward(self, maps: Tensor) -> Tensor:
        """Return rows (rows, copies * height * width * channels)."""
        height, width, _ = self.image_shape
        maps = maps[:, :, :height, :width]
        return maps.unflatten(1, (self.copies, -1)).permute(0, 1, 3, 4, 2).flatten(1)


class Block(nn.Module):
    """A residual block: ``x + conv(act(conv(act(x))))``."""

    def __init__(self, n_maps: int, activation: str) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]()
        self.first = _convolution(n_maps, n_maps, KERNEL, padding=KERNEL // 2)
        self.second = _convolution(n_maps, n_maps, KERNEL, padding=KERNEL // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same shape."""
        correction = self.second(self.activation(self.first(self.activation(x))))
        # A large picture has room for few maps at once.
        return x + correction if torch.is_grad_enabled() else correction.add_(x)


class Down(nn.Module):
    """The way down: halve, then blocks, at each resolution."""

    def __init__(self, widths: tuple[int, ...], blocks: int, activation: str) -> None:
        super().__init__()
        self.halving = nn.ModuleList()
        self.blocks = nn.ModuleList()
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            kernel, padding = (4, 1) if number == 0 else (2, 0)
            self.halving.append(_convolution(inputs, outputs, kernel, stride=2, padding=padding))
            self.blocks.append(nn.Sequential(*(Block(outputs, activation) for _ in range(blocks))))
        self.end = ACTIVATIONS[activation]()

    @property
    def factor(self) -> int:
        """How many times smaller the last maps are."""
        return 2 ** len(self.halving)

    @property
    def reach(self) -> int:
        """How many pixels of the input away a value can come from."""
        blocks = sum(2 * (KERNEL // 2) * len(part) * 2 ** (level + 1) for level, part in enumerate(self.blocks))  # type: ignore[arg-type]
        return blocks + 2 * self.factor

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the maps at each resolution, the largest first."""
        height, width = x.shape[2:]
        x = functional.pad(x, (0, -width % self.factor, 0, -height % self.factor), mode="replicate")
        x = x.contiguous(memory_format=torch.channels_last)
        found = []
        for halve, blocks in zip(self.halving, self.blocks, strict=True):
            x = blocks(halve(x))
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Return the smallest maps."""
        return self.end(self.maps(x)[-1])


class Up(nn.Module):
    """The way up: blocks, then double, at each resolution; the last doubling gives the image's channels."""

    def __init__(self, widths: tuple[int, ...], blocks: int, activation: str) -> None:
        super().__init__()
        self.doubling = nn.ModuleList()
        self.blocks = nn.ModuleList()
        for number in range(len(widths) - 1, 0, -1):
            inputs, outputs = widths[number], widths[number - 1]
            kernel = KERNEL if number == 1 else 1
            self.blocks.append(nn.Sequential(*(Block(inputs, activation) for _ in range(blocks))))
            self.doubling.append(_convolution(inputs, 4 * outputs, kernel, padding=kernel // 2))
        self.end = ACTIVATIONS[activation]()

    @property
    def reach(self) -> int:
        """How many pixels of the output away a value can go to."""
        levels = range(len(self.blocks), 0, -1)
        blocks = sum(2 * (KERNEL // 2) * len(part) * 2**level for level, part in zip(levels, self.blocks, strict=True))  # type: ignore[arg-type]
        return blocks + 2 * (KERNEL // 2) + 2 ** len(self.blocks)

    @property
    def last(self) -> nn.Conv2d:
        """The layer whose output is the image."""
        return self.doubling[-1]  # type: ignore[return-value]

    def forward(self, x: Tensor, skips: list[Tensor] | None = None) -> Tensor:
        """Return images (rows, channels, height, width), from the smallest maps; ``skips`` are added on the way."""
        for number, (blocks, double) in enumerate(zip(self.blocks, self.doubling, strict=True)):
            if skips is not None and number > 0:
                x = x + skips[-1 - number]
            x = blocks(x)
            if double is self.doubling[-1]:
                x = self.end(x)
            x = functional.pixel_shuffle(double(x), 2)
        return x


class SkipEncoder(nn.Module):
    """The way down of a network without a narrow code: it hands on the image and the maps at each resolution."""

    def __init__(self, down: Down, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.into = ToMaps(image_shape)
        self.down = down

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the images and their maps."""
        images = self.into(x)
        return [images, *self.down.maps(images)]


class SkipDecoder(nn.Module):
    """The way up of a network without a narrow code."""

    def __init__(self, up: Up, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.up = up
        self.outof = FromMaps(image_shape)

    def correct(self, images: Tensor, maps: list[Tensor]) -> Tensor:
        """Return images (rows, channels, height, width) of any size, plus what the network corrects of them."""
        height, width = images.shape[2:]
        return images + self.up(maps[-1], maps)[:, :, :height, :width]

    def forward(self, given: list[Tensor]) -> Tensor:
        """Return flat rows."""
        images, *maps = given
        return self.outof(self.correct(images, maps))

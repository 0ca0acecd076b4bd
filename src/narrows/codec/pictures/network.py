"""The network that predicts a picture's next value, trained as the whole numbers it will be used as.

::

    two rows above ──▶ row code (64) ──▶ 8 numbers for each place ──┐
    values so far  ──▶ palette (24) ──┬─────────────────────────────┤
    window of 16 decoded neighbours ──┼──▶ hidden ──▶ hidden ───────┼──▶ is it the expected value?
                                      │                             ├──▶ which of 32 bins, 8 values wide
                                      └──────────────▶ mixed (24) ──┴──▶ which value in the bin

The *palette* is a histogram of what the picture has shown so far, so the model learns which values go together and
repeats what a picture repeats. Weights are rounded to 1/64 in [-2, 2) and activations to 1/64 in [0, 4) while training
(straight-through gradients [1]_), so that training already sees what integer arithmetic will compute.

References
----------
.. [1] Y. Bengio, N. Leonard, A. Courville, "Estimating or propagating gradients through stochastic neurons for
   conditional computation", arXiv:1308.3432 (2013).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from narrows.codec.pictures.coder import STEP, expected, window_features
from narrows.codec.pictures.shape import BINS, COUNTS, FINE, LEVELS, Shape, windows
from narrows.training.loop import LossParts

__all__ = ["PictureNet", "PictureObjective", "is_weight"]


def is_weight(name: str) -> bool:
    """Return whether a parameter is of weights, in steps of 1/64; the others are biases, in steps of 1/4096."""
    return "_w" in name


def _rounded(weight: Tensor) -> Tensor:
    exact = (weight * STEP).round().clamp(-127, 127) / STEP
    return weight + (exact - weight).detach()


def _rounded_bias(bias: Tensor) -> Tensor:
    exact = (bias * STEP * STEP).round().clamp(-32767, 32767) / (STEP * STEP)
    return bias + (exact - bias).detach()


def _floored(value: Tensor) -> Tensor:
    return value + ((value * STEP).floor() / STEP - value).detach()


def _activated(value: Tensor) -> Tensor:
    return _floored(value).clamp(0.0, 255 / STEP)


class PictureNet(nn.Module):
    """The network of the picture above; everything it gives is a whole number of 1/64."""

    def __init__(
        self,
        shape: Shape,
        *,
        hidden: int = 48,
        row: int = 64,
        place: int = 8,
        palette: int = 24,
        differences: bool = False,
    ) -> None:
        super().__init__()
        self.shape, self.differences = shape, differences
        self.hidden, self.row, self.place, self.palette = hidden, row, place, palette
        planes = 2 if differences else 3
        self.features = [planes * len(windows(shape, c)) for c in range(shape.channels)]

        def weight(rows: int, columns: int, scale: float = 1.0) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, columns) * scale / max(columns, 1) ** 0.5)

        def zeros(*size: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(*size))

        self.window_w = nn.ParameterList([weight(hidden, n, 0.7) for n in self.features])
        self.place_b = zeros(shape.values, hidden)
        self.place_w = weight(hidden, place, 0.5)
        self.second_w, self.second_b = weight(hidden, hidden), zeros(hidden)
        self.palette_w, self.palette_b = weight(palette, 256), zeros(palette)
        self.above_w = weight(row, 4 * shape.values)
        self.palette_row_w = weight(row, palette)
        self.row_b = zeros(shape.height, row)
        self.spread_w, self.spread_b = weight(place * shape.values, row, 0.7), zeros(place * shape.values)
        self.quiet_w, self.quiet_b = weight(shape.values, row, 0.3), zeros(shape.values)
        self.other_w, self.other_b = weight(1, hidden, 0.3), zeros(1)
        self.bin_w, self.bin_b = weight(BINS, hidden, 0.3), zeros(BINS)
        self.bin_palette_w = weight(BINS, palette, 0.3)
        self.bin_count = zeros(COUNTS)
        self.mixed_w, self.mixed_b = weight(palette, hidden + palette), zeros(palette)
        self.fine_w, self.fine_b = weight(BINS * FINE, palette, 0.2), zeros(BINS * FINE)
        self.fine_count = zeros(COUNTS, COUNTS)

    def rounded(self) -> dict[str, Tensor]:
        """All parameters as they are used: weights of 1/64, biases of 1/4096."""
        exact = {}
        for name, value in self.named_parameters():
            exact[name] = _rounded(value) if is_weight(name) else _rounded_bias(value)
        return exact

    def rows_above(self, w: dict[str, Tensor], seen: Tensor, above: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From histograms (pictures, height, 256) and two rows above (…, 4 · values) to what a row tells its places.

        Returns the palette (…, palette), codes of places (…, values, place) and calm logits (…, values).
        """
        palette = _activated(seen @ w["palette_w"].T + w["palette_b"])
        row = _activated(above @ w["above_w"].T + palette @ w["palette_row_w"].T + w["row_b"])
        places = _activated(row @ w["spread_w"].T + w["spread_b"])
        quiet = _floored(row @ w["quiet_w"].T + w["quiet_b"])
        return palette, places.unflatten(-1, (self.shape.values, self.place)), quiet

    def at_places(self, w: dict[str, Tensor], window: Tensor, channel: int, where: Tensor, places: Tensor) -> Tensor:
        """From window features to the second hidden layer, shape (n, hidden)."""
        first = window @ w[f"window_w.{channel}"].T + places @ w["place_w"].T + w["place_b"][where]
        return _activated(_activated(first) @ w["second_w"].T + w["second_b"])


def levels(counts: Tensor) -> Tensor:
    """Turn counts into levels, about 16 · log2(1 + count), by whole numbers alone."""
    table = torch.tensor(LEVELS, device=counts.device)
    return table[counts.clamp(max=len(LEVELS) - 1)]


def _seen(values: Tensor) -> Tensor:
    """How often each value came in the rows before: (n, height, values) to (n, height, 256)."""
    counts = torch.zeros(*values.shape[:2], 256)
    counts.scatter_add_(2, values, torch.ones(()).expand_as(values))
    return (counts.cumsum(1) - counts).long()


@dataclass(frozen=True)
class _Batch:
    """What all channels of a batch share: what the rows say, and how often which value came before."""

    weights: dict[str, Tensor]
    palette: Tensor
    places: Tensor
    quiet: Tensor
    seen: Tensor
    shown: Tensor


@dataclass(frozen=True)
class _Channel:
    """One channel's values of a batch, in a line: (pictures · height · width,), with the windows they are seen in."""

    number: int
    near: np.ndarray
    guess: np.ndarray | None
    symbol: Tensor


class PictureObjective:
    """The cost of pictures in nats: each picture's, by part."""

    def __init__(self, net: PictureNet) -> None:
        self.net = net

    def __call__(self, batch: Tensor, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return the parts of the cost of each picture."""
        net, shape = self.net, self.net.shape
        n = len(batch)
        picture = batch.reshape(n, shape.height, shape.values).long()
        channels = list(self._channels(picture))
        symbols = torch.stack([c.symbol.reshape(n, shape.height, shape.width) for c in channels], 3).flatten(2)
        seen = _seen(symbols)
        rows = functional.pad(picture, (0, 0, 2, 0))
        one, two = rows[:, 1:-1], rows[:, :-2]
        above = torch.cat([one >> 1, (one > 0) * STEP, two >> 1, (two > 0) * STEP], 2).float() / STEP
        weights = net.rounded()
        palette, places, quiet = net.rows_above(weights, levels(seen).float() / STEP, above)
        shared = _Batch(weights, palette, places, quiet, seen, _seen(picture) if net.differences else seen)
        parts = {name: torch.zeros(n) for name in ("calm", "flag", "bin", "fine")}
        for channel in channels:
            for name, (which, cost) in self._costs(shared, channel).items():
                parts[name] = parts[name].index_add(0, which // (shape.height * shape.width), cost)
        return LossParts(parts)

    def _channels(self, picture: Tensor) -> Iterator[_Channel]:
        net, shape = self.net, self.net.shape
        flat = functional.pad(picture, (shape.margin, shape.margin, 2, 0)).reshape(-1)
        starts = (torch.arange(len(picture)) * (shape.height + 2))[:, None] + torch.arange(shape.height) + 2
        at = starts[:, :, None] * shape.stride + shape.margin + torch.arange(shape.values)
        for c in range(shape.channels):
            here = at[:, :, c :: shape.channels].reshape(-1)
            offsets = torch.tensor([-up * shape.stride + right for up, right in windows(shape, c)])
            near = flat[here + offsets[:, None]].numpy().astype(np.uint8)
            guess = expected(near, c) if net.differences else None
            own = flat[here]
            yield _Channel(c, near, guess, own if guess is None else (own - torch.from_numpy(guess)) & 255)

    def _costs(self, shared: _Batch, channel: _Channel) -> dict[str, tuple[Tensor, Tensor]]:
        """Return for each part which values have a cost, and that."""
        net, w, symbol, c = self.net, shared.weights, channel.symbol, channel.number
        other = (symbol > 0).float()
        still = torch.from_numpy((channel.near == 0).all(0) & (channel.guess is None))
        calm, busy = torch.nonzero(still)[:, 0], torch.nonzero(~still)[:, 0]
        calm_logit = shared.quiet[:, :, c :: net.shape.channels].reshape(-1)[calm]
        hidden = self._hidden(shared, channel, busy)
        logit = _floored((hidden @ w["other_w"].T + w["other_b"])[:, 0])
        flag = functional.binary_cross_entropy_with_logits
        costs = {
            "calm": (calm, flag(calm_logit, other[calm], reduction="none")),
            "flag": (busy, flag(logit, other[busy], reduction="none")),
        }
        lit = torch.nonzero(symbol > 0)[:, 0]
        position = torch.full((len(symbol),), -1)
        position[busy] = torch.arange(len(busy))
        # Calm values that come alight have no hidden values yet: their window is empty, not unknown.
        fresh = lit[position[lit] < 0]
        position[fresh] = torch.arange(len(fresh)) + len(hidden)
        if len(fresh):
            hidden = torch.cat([hidden, self._hidden(shared, channel, fresh)])
        return costs | self._lit(shared, channel, lit, hidden[position[lit]])

    def _hidden(self, shared: _Batch, channel: _Channel, which: Tensor) -> Tensor:
        net, c, k = self.net, channel.number, self.net.shape.channels
        at = which.numpy()
        near, guess = channel.near[:, at], None if channel.guess is None else channel.guess[at]
        window = torch.from_numpy(np.concatenate(window_features(near, guess))).T.float() / STEP
        column = (which % net.shape.width) * k + c
        places = shared.places[:, :, c::k].reshape(-1, net.place)[which]
        return net.at_places(shared.weights, window, c, column, places)

    def _lit(self, shared: _Batch, channel: _Channel, lit: Tensor, hidden: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the costs of the bin and of the value in it, for values that are not the expected one."""
        w, net = shared.weights, self.net
        line = lit // net.shape.width
        colours = shared.palette.reshape(-1, net.palette)[line]
        in_bins = shared.seen.reshape(-1, BINS, FINE).sum(2).clamp(max=COUNTS - 1)[line]
        bins = hidden @ w["bin_w"].T + w["bin_b"] + colours @ w["bin_palette_w"].T + w["bin_count"][in_bins]
        value = channel.symbol[lit]
        chosen, within = value // FINE, value % FINE
        mixed = _activated(torch.cat([hidden, colours], 1) @ w["mixed_w"].T + w["mixed_b"])
        fine = torch.einsum("nfp,np->nf", w["fine_w"].unflatten(0, (BINS, FINE))[chosen], mixed)
        fine = fine + w["fine_b"].reshape(BINS, FINE)[chosen]
        candidates = chosen[:, None] * FINE + torch.arange(FINE)
        if channel.guess is not None:
            candidates = (candidates + torch.from_numpy(channel.guess)[lit][:, None]) & 255
        here = shared.shown.reshape(-1, 256)[line[:, None], candidates].clamp(max=COUNTS - 1)
        fine = _floored(fine + w["fine_count"][in_bins.gather(1, chosen[:, None]), here])
        never = (chosen == 0)[:, None] & (torch.arange(FINE) == 0)
        return {
            "bin": (lit, functional.cross_entropy(_floored(bins), chosen, reduction="none")),
            "fine": (lit, functional.cross_entropy(fine.masked_fill(never, -1e4), within, reduction="none")),
        }

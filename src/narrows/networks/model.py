"""Layers, and what they make: an encoder and a decoder between a scaling layer and a likelihood's output distribution.

No layer of narrows' own lets a row's result depend on the rows beside it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from narrows.likelihoods import OutputDistribution, Standardise

STEADY_WIDTH = 16

Blocks = Iterable[tuple[Tensor, Tensor]]

LOG_VARIANCES = (-14.0, 6.0)
"""What is taken for certain, and for nothing known at all: beyond, exponentials run away."""

BETWEEN_SIZES_FRACTION = 0.1
"""Fraction of rows in a step whose codes are cut between two sizes."""

GRADIENT_FRACTIONS = (0.3, 0.35, 0.5, 0.8, 1.0)
"""Fraction of a larger size's gradient that reaches the numbers of each smaller size, the smallest size first.

With all of it the smallest codes become what serves the larger ones, much as PCA's; with none the larger ones have to
do with what the smallest leave. Found on a validation split of MNIST.
"""


class Scale(nn.Module):
    """Multiply by a number: codes leave in the data's units, as PCA's do, and come back."""

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
    lies in memory. When not training, a narrow layer is therefore computed as one of sixteen columns. Weights are
    copied, and no random numbers drawn.
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
    """Add a row that is learnt: a decoder begins with the mean row, and has what varies left to learn."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(values.detach().float().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return x + self.bias


class LinearResidual(nn.Module):
    """A linear path plus a stack of layers that corrects it.

    The layers see ``clamp((x - center) * gain)``, and their result is multiplied by ``end``. With ``fade`` it also
    fades for rows that the clamp has changed: with few rows to learn from, what it says of rows far from them is worth
    nothing.
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


def code_sizes(n_components: int) -> tuple[int, ...]:
    """Return the sizes that an ordered code is trained for: 2, 4, 8, ... and all.

    Examples
    --------
    >>> code_sizes(10)
    (2, 4, 8, 10)
    """
    sizes = []
    size = 2
    while size < n_components:
        sizes.append(size)
        size *= 2
    return (*sizes, n_components)


class OrderedDecoder(nn.Module):
    """One decoder for each of a few rising sizes of the code; a code of another size goes to the next larger one."""

    def __init__(self, decoders: Sequence[nn.Module], sizes: Sequence[int]) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(decoders)
        self.sizes = tuple(sizes)

    def forward(self, code: Tensor) -> Tensor:
        """Return the output for a whole code, or for its first few numbers."""
        given = code.shape[1]
        number = next(place for place, size in enumerate(self.sizes) if given <= size)
        return self.decoders[number](functional.pad(code, (0, self.sizes[-1] - given)))

    def outputs(self, code: Tensor, generator: Generator | None = None) -> list[Tensor]:
        """Return the outputs for the leading numbers of all sizes.

        With a generator, some rows keep fewer numbers than each decoder's size, but more than that of the one before
        it, at random: so that codes of sizes in between work too.
        """
        found = []
        place = torch.arange(code.shape[1], device=code.device)
        below = 0
        for number, (size, decoder) in enumerate(zip(self.sizes, self.decoders, strict=True)):
            kept = place < size
            if generator is not None:
                draw = torch.rand(2, len(code), 1, generator=generator, device=code.device)
                between = below + 1 + (draw[0] * (size - below)).long()
                kept = place < torch.where(draw[1] < BETWEEN_SIZES_FRACTION, between, size)
            found.append(decoder(self._shared(code, number) * kept))
            below = size
        return found

    def _shared(self, code: Tensor, number: int) -> Tensor:
        """Return codes that pass on only part of the gradient to the numbers that smaller sizes have trained."""
        if number == 0 or not code.requires_grad:
            return code
        share = torch.ones_like(code[0])
        below = 0
        for place, size in enumerate(self.sizes[:number]):
            share[below:size] = GRADIENT_FRACTIONS[min(place, len(GRADIENT_FRACTIONS) - 1)]
            below = size
        still = code.detach()
        return still + (code - still) * share


def observed(rows: Tensor) -> Tensor:
    """Say which values are not missing."""
    return ~torch.isnan(rows) if rows.is_floating_point() else torch.ones_like(rows, dtype=torch.bool)


class OutputMean(nn.Module):
    """The head's way from the decoder's output to the data's units, as a layer."""

    def __init__(self, head: OutputDistribution) -> None:
        super().__init__()
        self.head = head

    def forward(self, output: Tensor) -> Tensor:
        """Return the reconstruction in the data's units."""
        return self.head.mean(output)


class EncoderDecoder(nn.Module):
    """The whole pipeline, from the data's units to the data's units; the head holds the same scaling layer.

    Where the network has a code, one tensor passes between encoder and decoder, which is then in the data's units.
    """

    def __init__(
        self,
        standardise: Standardise,
        encoder: nn.Module,
        decoder: nn.Module,
        head: OutputDistribution,
        *,
        has_code: bool = True,
    ) -> None:
        super().__init__()
        # Where all columns share a scale, codes are in the data's units.
        scale = standardise.scale64
        unit = scale[0] if len(scale) == 1 else torch.ones_like(scale[0])
        into, outof = (Scale(unit), Scale(1 / unit)) if has_code else (nn.Identity(), nn.Identity())
        self.encoder = nn.Sequential(standardise, encoder, into)
        self.decoder = nn.Sequential(outof, decoder, OutputMean(head))

    @property
    def standardise(self) -> Standardise:
        """The scaling layer."""
        return self.encoder[0]  # type: ignore[return-value]

    @property
    def head(self) -> OutputDistribution:
        """The likelihood's end."""
        return self.decoder[2].head  # type: ignore[return-value]

    @property
    def ordered(self) -> bool:
        """Whether the first numbers of a code are a code by themselves."""
        return isinstance(self.decoder[1], OrderedDecoder)

    def output(self, z: Tensor, size: int | None = None) -> Tensor:
        """Return the decoder's raw output for standardised rows, from the first ``size`` numbers of their codes."""
        code = self.encoder[1](z)
        return self.decoder[1](code if size is None else code[:, :size])

    def decode(self, codes: Tensor) -> Tensor:
        """Return the decoder's raw output for codes."""
        return self.decoder[1](self.decoder[0](codes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of rows in the data's units."""
        return self.decoder(self.encoder(x))

    def squared_errors(self, blocks: Blocks) -> Tensor:
        """Measure the squared error on each row, summed over the observed values, in scaled units."""
        found = []
        with torch.no_grad():
            for clean, corrupted in blocks:
                error = (self(corrupted).double() - clean.double()) / self.standardise.scale64
                found.append(torch.nan_to_num(error).square().sum(1))
        return torch.cat(found)

    def size_errors(self, blocks: Blocks, components: Tensor, center: Tensor) -> dict[str, Tensor]:
        """Measure an ordered model and PCA with the first few numbers of their codes: "model:2", "pca:2" and so on."""
        components, center = components.float(), center.float()
        found: dict[str, list[Tensor]] = {}
        with torch.no_grad():
            for clean, corrupted in blocks:
                z, seen = self.standardise(clean), self.standardise(corrupted)
                code = self.encoder[1](seen)
                for size in self.decoder[1].sizes:  # type: ignore[union-attr]
                    leading = components[:, :size]
                    rebuilt = {
                        "model": self.standardise(self.head.mean(self.decoder[1](code[:, :size]))),
                        "pca": (seen - center) @ leading @ leading.T + center,
                    }
                    for name, values in rebuilt.items():
                        error = ((values - z).square() * observed(clean)).sum(1, dtype=torch.float64)
                        found.setdefault(f"{name}:{size}", []).append(error)
        return {name: torch.cat(parts) for name, parts in found.items()}


class PosteriorMean(nn.Module):
    """The means alone, of means and log-variances side by side."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the first half of the columns."""
        return x[:, : x.shape[1] // 2]


class PadLabels(nn.Module):
    """Codes with room for a label after them, left at zero, which is "unknown", where none is given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, codes: Tensor) -> Tensor:
        """Return codes of the whole width."""
        spare = self.width - codes.shape[1]
        return functional.pad(codes, (0, spare)) if spare else codes


class VariationalModel(EncoderDecoder):
    """The whole pipeline of a variational autoencoder; its codes are the means, and labels one-hot."""

    def __init__(
        self,
        standardise: Standardise,
        encoder: nn.Module,
        decoder: nn.Module,
        head: OutputDistribution,
        *,
        n_components: int,
        n_labels: int = 0,
    ) -> None:
        nn.Module.__init__(self)
        self.n_components, self.n_labels = n_components, n_labels
        self.encoder = nn.Sequential(standardise, encoder, PosteriorMean())
        self.decoder = nn.Sequential(PadLabels(n_components + n_labels), decoder, OutputMean(head))

    def posterior(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the codes of standardised rows."""
        mean, log_variance = self.encoder[1](z).chunk(2, 1)
        return mean, torch.clamp(log_variance, *LOG_VARIANCES)

    def output(self, z: Tensor, size: int | None = None) -> Tensor:
        """Return the decoder's raw output for the mean codes of standardised rows."""
        return self.decode(self.posterior(z)[0])

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the decoder's raw output for codes, (rows, n_components), and labels, (rows, n_labels)."""
        return self.decoder[1](self.decoder[0](codes if labels is None else torch.cat([codes, labels], 1)))


def multiplications_per_row(model: EncoderDecoder, n_features: int) -> int:
    """Return the multiplications that one row takes, there and back.

    Convolutions use each weight at many places, so the number of parameters says little of them: one row of zeros
    is sent through and every layer's output counted. Other layers than convolutions count their parameters.
    """
    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    work = sum(p.numel() for p in model.parameters())
    if not convolutions:
        return work
    places = 0

    def count(part: Any, given: Any, output: Tensor) -> None:  # noqa: ARG001
        nonlocal places
        places += part.weight.numel() * (output[0, 0].numel() - 1)

    hooks = [part.register_forward_hook(count) for part in convolutions]
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model.output(torch.zeros(1, n_features, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return work + places

"""Dense networks: fully connected layers, by default as a correction to a linear path that starts at PCA.

With the linear path, both halves are the sum of a linear map and a stack of layers::

    z ──┬── linear, starts at the principal components ──────────────┬─+──▶ code
        └── scale to unit std   , clamp ── layers ── last starts at 0 ┘
    code ──┬── linear, starts at the same components ────────────────┬─+──▶ output
           └── scale to unit std   , clamp ── layers ── starts at 0 ──┘

So the untrained network *is* PCA, and training has only what PCA leaves to learn. The layers see clamped values:
far outside what was trained on they have nothing to say and the linear path carries on alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from narrows.likelihoods import OutputDistribution
from narrows.networks.base import LinearInit, Network
from narrows.networks.model import Linear, LinearResidual

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}

CLAMP = 4.0

PAIRWISE_LINEAR = ("gelu", "relu", "silu", "softplus")
"""Activations of which ``f(x) - f(-x) = x``."""

OTHER_UNITS_WEIGHT = 0.3
"""Factor on the last layer's weights from units that carry nothing of the linear map."""


@dataclass(frozen=True)
class Dense(Network):
    """Fully connected layers with a mirrored decoder.

    Parameters
    ----------
    hidden : tuple of int or "auto", default "auto"
        Widths of the encoder's hidden layers, outermost first; the decoder has them in reverse. ``()`` is a linear
        autoencoder. ``"auto"`` is (256, 128) for 64 columns or more, and (128, 64) for fewer; twice as wide for an
        ordered code, whose encoder serves many sizes, and in a variational autoencoder of 64 columns or more.
    activation : str, default "silu"
        Between the layers: one of elu, gelu, identity, leaky_relu, relu, sigmoid, silu, softplus, tanh.
    code_activation : str, default "identity"
        On the code. A ReLU code, as often taught, loses what its zeros swallow.
    output_activation : str, default "identity"
        On the decoder's output. The likelihood already knows the data's bounds, so this is for networks as taught.
    linear_path : bool or "auto", default "auto"
        Whether the layers correct a linear path that starts at PCA. ``"auto"``: where both the code and the output
        have the identity as activation.
    init : {"he", "glorot", "pca"}, default "he"
        Start of the weights: normal with variance 2 / inputs (He et al. 2015), or uniform (Glorot and Bengio 2010),
        the default in Keras. Biases start at zero. ``"pca"`` has no path of its own beside the layers, but a start
        at PCA within them: pairs of units carry each number and its negative, of which activations such as relu,
        gelu and silu make the number again; all other units start as with ``"he"``. It needs layers of twice as many
        units as the code has numbers. A variational autoencoder takes it where ``linear_path="auto"`` means none.

    Examples
    --------
    >>> from narrows.networks import Dense
    >>> Dense(hidden=(128,))  # doctest: +ELLIPSIS
    Dense(hidden=(128,), activation='silu', ...)
    >>> as_taught = Dense((128,), activation="relu", code_activation="relu", output_activation="sigmoid", init="glorot")
    >>> as_taught.starts_linear
    False
    """

    hidden: tuple[int, ...] | str = "auto"
    activation: str = "silu"
    code_activation: str = "identity"
    output_activation: str = "identity"
    linear_path: bool | str = "auto"
    init: str = "he"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden != "auto":
            widths = (self.hidden,) if isinstance(self.hidden, int) else tuple(self.hidden)
            if isinstance(self.hidden, str) or not all(isinstance(w, int) and w > 0 for w in widths):
                raise ValueError(f"hidden must be 'auto' or a tuple of widths such as (256, 128), got {self.hidden!r}")
            object.__setattr__(self, "hidden", widths)
        for name in ("activation", "code_activation", "output_activation"):
            if getattr(self, name) not in ACTIVATIONS:
                raise ValueError(f"{name} must be one of {', '.join(ACTIVATIONS)}, got {getattr(self, name)!r}")
        if self.linear_path not in (True, False, "auto"):
            raise ValueError(f"linear_path must be True, False or 'auto', got {self.linear_path!r}")
        if self.linear_path is True and not self._plain_ends:
            raise ValueError("linear_path needs the identity as activation of the code and of the output")
        if self.init not in ("he", "glorot", "pca"):
            raise ValueError(f"init must be 'he', 'glorot' or 'pca', got {self.init!r}")
        if self.init == "pca" and self.activation not in PAIRWISE_LINEAR:
            raise ValueError(f"init='pca' needs an activation that lets pairs through: {', '.join(PAIRWISE_LINEAR)}")

    @property
    def _plain_ends(self) -> bool:
        return self.code_activation == "identity" and self.output_activation == "identity"

    @property
    def starts_linear(self) -> bool:
        """Whether the untrained network already is the linear start."""
        return self._plain_ends and self.linear_path is not False and self.init != "pca"

    def widths(self, n_features: int, *, ordered: bool = False, posterior: bool = False) -> tuple[int, ...]:
        """Return the widths of the encoder's hidden layers for data with this many columns."""
        if not isinstance(self.hidden, str):
            return self.hidden
        first = 256 if n_features >= 64 else 128
        twice = ordered or (posterior and n_features >= 64)
        return (2 * first, first) if twice else (first, first // 2)

    def build(self, start: LinearInit, head: OutputDistribution, generator: Generator) -> tuple[nn.Module, nn.Module]:
        """Make the encoder and its mirror."""
        widths = self.widths(start.n_features, ordered=start.ordered, posterior=start.posterior)
        corrects = self.starts_linear
        encoder = self._layers((start.n_features, *widths, start.code_outputs), generator, zero_end=corrects)
        decoder = self._layers((start.code_inputs, *widths[::-1], head.n_outputs), generator, zero_end=corrects)
        if not corrects:
            if start.posterior and self._plain_ends:
                # Rows that vary about the mean row as the data does; a constant column starts, and stays, exact.
                last: Linear = decoder[-1]  # type: ignore[assignment]
                last.weight.data.mul_(head.initial_std(start.std).to(last.weight).unsqueeze(1))
                last.bias.data.copy_(head.linear_init(start.components, start.center)[1])
            if self.init == "pca":
                init_as_linear_map(encoder, *start.linear_encoder(), start.n_components)
                init_as_linear_map(decoder, *start.linear_decoder(head), start.code_inputs)
            encoder.append(ACTIVATIONS[self.code_activation]())
            decoder.append(ACTIVATIONS[self.output_activation]())
            return _without_identities(encoder), _without_identities(decoder)
        return add_linear_path(
            _without_identities(encoder),
            _without_identities(decoder),
            start,
            head,
            center=start.center,
            seen=start.seen,
            clamp=None if self.activation == "identity" else CLAMP,
        )

    def _layers(self, widths: tuple[int, ...], generator: Generator, *, zero_end: bool) -> nn.Sequential:
        layers = nn.Sequential()
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            last = number == len(widths) - 2
            weight = torch.empty(outputs, inputs)
            if last and zero_end:
                weight.zero_()
            elif self.init in ("he", "pca"):
                weight.normal_(0.0, (2 / inputs) ** 0.5, generator=generator)
            else:
                limit = (6 / (inputs + outputs)) ** 0.5
                weight.uniform_(-limit, limit, generator=generator)
            layers.append(Linear(weight, torch.zeros(outputs)))
            if not last:
                layers.append(ACTIVATIONS[self.activation]())
        return layers


def add_linear_path(
    into: nn.Module,
    outof: nn.Module,
    start: LinearInit,
    head: OutputDistribution,
    *,
    center: Tensor | None = None,
    seen: Tensor,
    clamp: float | None,
) -> tuple[nn.Module, nn.Module]:
    """Put layers that start at zero beside the linear paths there and back.

    From the encoder's input ``center`` is subtracted, it is divided by ``seen``, of which zero hides a column, and
    clamped, before its layers see it.
    """
    spread = torch.ones_like(start.component_std) if start.posterior else start.code_std
    gain = torch.where(seen > 0, 1 / seen, torch.zeros_like(seen))
    code_gain = functional.pad(1 / spread, (0, start.n_labels), value=1.0)
    end = None if start.posterior else spread
    encoder = LinearResidual(
        Linear(*start.linear_encoder()), into, center=center, gain=gain, clamp=clamp, fade=start.freeze_linear, end=end
    )
    decoder = LinearResidual(
        Linear(*start.linear_decoder(head)), outof, gain=code_gain, clamp=clamp, fade=start.freeze_linear
    )
    if start.freeze_linear:
        encoder.linear.requires_grad_(requires_grad=False)
        decoder.linear.requires_grad_(requires_grad=False)
    return encoder, decoder


def init_as_linear_map(layers: nn.Sequential, weight: Tensor, bias: Tensor, size: int) -> None:
    """Let layers begin as a linear map of rank ``size``, which pairs of their units carry through the activations.

    Where layers are too narrow for the pairs they stay as they are. Of an encoder the first rows of the map are
    carried, of a decoder its inputs.
    """
    stack = [layer for layer in layers if isinstance(layer, Linear)]
    if len(stack) < 2 or any(layer.out_features < 2 * size for layer in stack[:-1]):
        return
    narrows_down = weight.shape[1] > size
    into, base = (weight[:size], bias[:size]) if narrows_down else (torch.eye(size), torch.zeros(size))
    outof = torch.eye(weight.shape[0], size) if narrows_down else weight
    pair = torch.cat([torch.eye(size), -torch.eye(size)], 1)
    with torch.no_grad():
        for number, layer in enumerate(stack):
            last = number == len(stack) - 1
            matrix = into if number == 0 else pair
            if last:
                layer.weight.mul_(OTHER_UNITS_WEIGHT)
                layer.weight[:, : 2 * size] = (outof @ pair.to(outof)).float()
                layer.bias.copy_(bias)
                if narrows_down:
                    layer.bias[:size] = 0.0
                continue
            both = torch.cat([matrix, -matrix]).float()
            layer.weight[: 2 * size, : both.shape[1]] = both
            layer.weight[: 2 * size, both.shape[1] :] = 0.0
            layer.bias[: 2 * size] = torch.cat([base, -base]).float() if number == 0 else 0.0


def _without_identities(layers: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(*(layer for layer in layers if not isinstance(layer, nn.Identity)))

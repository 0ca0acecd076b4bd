"""A network of the user's own: any two torch modules."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from narrows.likelihoods import OutputDistribution
from narrows.networks.base import LinearInit, Network


class Posterior(nn.Module):
    """The user's encoder of a variational autoencoder: means and log-variances, in one tensor or in two."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """Return means and log-variances side by side."""
        found = self.module(x)
        return torch.cat(tuple(found[:2]), 1) if isinstance(found, (tuple, list)) else found


def _check_no_sigmoid(decoder: nn.Module, head: OutputDistribution) -> None:
    """Refuse a second sigmoid: a decoder as courses have it ends in one, and a Bernoulli likelihood has its own."""
    last = decoder
    while isinstance(last, nn.Sequential) and len(last):
        last = last[-1]
    if type(head).__name__ == "BernoulliOutput" and isinstance(last, nn.Sigmoid):
        raise ValueError(
            "the decoder ends in a sigmoid, but likelihood='bernoulli' takes logits and applies the sigmoid itself: "
            "leave it out"
        )


@dataclass(frozen=True)
class Modules(Network, named=False):
    """The user's own encoder and decoder.

    The modules are copied before they are trained, so that a refit starts where they are now. The encoder is given
    standardised rows (``scaling="none"`` passes them as they are) of shape (rows, n_features) and returns
    (rows, n_components), for a variational autoencoder means and log-variances, (rows, 2 * n_components) or a tuple
    of both; the decoder returns (rows, n_features), logits when the likelihood is Bernoulli.

    Parameters
    ----------
    encoder, decoder : torch.nn.Module
        With real parameters, in float32 or what float32 rows can pass through.

    Examples
    --------
    >>> from torch import Generator, Tensor, nn
    >>> from narrows.networks import Modules
    >>> network = Modules(nn.Sequential(nn.Linear(64, 8)), nn.Sequential(nn.Linear(8, 64)))
    """

    encoder: Any = None
    decoder: Any = None

    def __post_init__(self) -> None:
        for name in ("encoder", "decoder"):
            if not isinstance(getattr(self, name), nn.Module):
                raise TypeError(f"{name} must be a torch.nn.Module, got {getattr(self, name)!r}")

    def build(self, start: LinearInit, head: OutputDistribution, generator: Generator) -> tuple[nn.Module, nn.Module]:
        """Copy the modules and check their shapes with two rows of zeros."""
        encoder, decoder = copy.deepcopy(self.encoder).float(), copy.deepcopy(self.decoder).float()
        if start.posterior:
            encoder = Posterior(encoder)
        _check_no_sigmoid(decoder, head)
        with torch.no_grad():
            encoder.eval()
            decoder.eval()
            code = encoder(torch.zeros(2, start.n_features, device="cpu"))
            if tuple(code.shape) != (2, start.code_outputs):
                means = " means and as many log-variances" if start.posterior else ""
                raise ValueError(
                    f"the encoder turns (2, {start.n_features}) into {tuple(code.shape)}, "
                    f"but n_components asks for (2, {start.code_outputs}){means and f': {start.n_components}{means}'}"
                )
            output = decoder(torch.zeros(2, start.code_inputs, device="cpu"))
        if tuple(output.shape) != (2, head.n_outputs):
            raise ValueError(f"the decoder turns a code into {tuple(output.shape)}, not (2, {head.n_outputs})")
        return encoder, decoder

    def to_json(self) -> dict[str, Any]:
        """Say that there are modules; their code cannot be written to a file."""
        return {"option": "Modules"}

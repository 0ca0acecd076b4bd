"""Optimisers over one flat vector of parameters.

All parameters of a model are views of one vector, and so are their gradients. An optimiser step is then a few
operations on long vectors rather than some on each of many small ones, the best weights so far are one copy, and a
checkpoint is three vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from narrows.options import Option, check_numbers


class FlatParameters:
    """The trainable parameters of a module, made views of one vector.

    Parameters
    ----------
    module : torch.nn.Module
        Its floating-point parameters that require a gradient are moved into the vector.

    Attributes
    ----------
    values, gradients : Tensor, shape (n_parameters,)
        All parameters, and after :meth:`backward` their gradients.
    """

    def __init__(self, module: nn.Module) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        device = self.parameters[0].device if self.parameters else torch.device("cpu")
        self._sizes = [p.numel() for p in self.parameters]
        self.values = torch.empty(sum(self._sizes), device=device)
        self.gradients = torch.zeros_like(self.values)
        for parameter, view in zip(self.parameters, self.views(self.values), strict=True):
            view.copy_(parameter.data)
            parameter.data = view

    def views(self, vector: Tensor) -> list[Tensor]:
        """Cut a vector as long as the parameters into views of their shapes."""
        return [part.view(p.shape) for part, p in zip(vector.split(self._sizes), self.parameters, strict=True)]

    def backward(self, loss: Tensor) -> None:
        """Put the gradient of ``loss`` into ``gradients``."""
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        parts = [
            torch.zeros_like(p).view(-1) if g is None else g.reshape(-1)
            for p, g in zip(self.parameters, found, strict=True)
        ]
        torch.cat(parts, out=self.gradients)

    def release(self) -> None:
        """Give each parameter memory of its own again."""
        for parameter in self.parameters:
            parameter.data = parameter.data.clone()


def assign_parameters(module: nn.Module, values: Tensor) -> None:
    """Set the trainable parameters of a module from a vector, as :class:`FlatParameters` lays them out."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter, part in zip(parameters, values.split([p.numel() for p in parameters]), strict=True):
        parameter.data.copy_(part.view(parameter.shape))


@dataclass(frozen=True)
class Optimizer(Option):
    """The family of optimisers; a value holds the settings, its :meth:`init_state` the state."""

    def init_state(self, flat: FlatParameters) -> OptimizerState:
        """Return the running optimiser for these parameters."""
        raise TypeError(f"{type(self).__name__} is not an optimiser")

    @property
    def default_rate(self) -> float:
        """Learning rate to start from when nothing is known of the data."""
        return 1e-3


class OptimizerState:
    """A running optimiser."""

    def step(self, learning_rate: float) -> None:
        """Move the parameters by one step at this learning rate, from the gradients taken."""
        raise NotImplementedError

    def state(self) -> dict[str, Tensor]:
        """Return all that the next step depends on."""
        raise NotImplementedError

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to a state."""
        for name, value in self.state().items():
            value.copy_(state[name])


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), fused; with ``weight_decay``, decoupled as in AdamW.

    Parameters
    ----------
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the running mean of gradients and of their squares.
    eps : float, default 1e-8
        Added to the root of the mean square. Keras has 1e-7.
    weight_decay : float, default 0
        Fraction of each weight that is lost in a step at learning rate 1; biases and other vectors lose nothing.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "beta1", "beta2", high=1)
        check_numbers(self, "eps", "weight_decay")

    def init_state(self, flat: FlatParameters) -> OptimizerState:
        """Return the running optimiser."""
        return _AdamState(self, flat)


class _AdamState(OptimizerState):
    """Calls torch's fused kernel itself: ``torch.optim`` would import the compiler, a second for every process."""

    def __init__(self, settings: Adam, flat: FlatParameters) -> None:
        self._settings = settings
        self._flat = flat
        self._mean = torch.zeros_like(flat.values)
        self._square = torch.zeros_like(flat.values)
        self._step = torch.zeros((), device=flat.values.device)
        views = flat.views(flat.values) if settings.weight_decay else []
        self._decaying = [view for view in views if view.ndim >= 2]

    def step(self, learning_rate: float) -> None:
        settings = self._settings
        self._step += 1
        for weights in self._decaying:
            weights.mul_(1 - learning_rate * settings.weight_decay)
        torch._fused_adamw_(
            [self._flat.values],
            [self._flat.gradients],
            [self._mean],
            [self._square],
            [],
            [self._step],
            lr=learning_rate,
            beta1=settings.beta1,
            beta2=settings.beta2,
            weight_decay=0.0,
            eps=settings.eps,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        return {"mean": self._mean, "square": self._square, "step": self._step}


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012).

    Parameters
    ----------
    rho : float, default 0.9
        Decay of the running mean of squared gradients.
    eps : float, default 1e-7
        Added to the root of the mean square.
    """

    rho: float = 0.9
    eps: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "rho", high=1)
        check_numbers(self, "eps")

    def init_state(self, flat: FlatParameters) -> OptimizerState:
        """Return the running optimiser."""
        return _RMSpropState(self, flat)


class _RMSpropState(OptimizerState):
    def __init__(self, settings: RMSprop, flat: FlatParameters) -> None:
        self._settings = settings
        self._flat = flat
        self._square = torch.zeros_like(flat.values)

    def step(self, learning_rate: float) -> None:
        rho, gradients = self._settings.rho, self._flat.gradients
        self._square.mul_(rho).addcmul_(gradients, gradients, value=1 - rho)
        self._flat.values.addcdiv_(gradients, self._square.sqrt().add_(self._settings.eps), value=-learning_rate)

    def state(self) -> dict[str, Tensor]:
        return {"square": self._square}


@dataclass(frozen=True)
class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal before each step (Jordan et al. 2024); Adam for all vectors.

    Worth its products for convolutional and deep networks and for many steps; on small wide tables it does harm.
    Runs in float32: in bfloat16, as elsewhere, it is slow on processors without that arithmetic.

    Parameters
    ----------
    momentum : float, default 0.95
        Decay of the running sum of gradients, used with a look ahead (Nesterov).
    vector_learning_rate : float, default 0.1
        Learning rate of biases as a fraction of that of matrices.
    block : int, default 0
        Rows of a matrix, or columns if these are fewer, that are made orthogonal together; 0 takes all. The cost
        grows with the square of their number, and blocks of about 128 learn as well.
    """

    momentum: float = 0.95
    vector_learning_rate: float = 0.1
    block: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "momentum", high=1)
        check_numbers(self, "vector_learning_rate", "block")

    def init_state(self, flat: FlatParameters) -> OptimizerState:
        """Return the running optimiser."""
        return _MuonState(self, flat)

    @property
    def default_rate(self) -> float:
        """Learning rate to start from when nothing is known of the data."""
        return 0.02


class _MuonState(OptimizerState):
    def __init__(self, settings: Muon, flat: FlatParameters) -> None:
        self._settings = settings
        self._flat = flat
        self._momentum = torch.zeros_like(flat.values)
        self._adam = _AdamState(Adam(), flat)
        self._matrices = [number for number, p in enumerate(flat.parameters) if p.ndim >= 2]

    def step(self, learning_rate: float) -> None:
        momentum, flat = self._settings.momentum, self._flat
        self._momentum.mul_(momentum).add_(flat.gradients)
        ahead = torch.add(flat.gradients, self._momentum, alpha=momentum)
        values, directions = flat.views(flat.values), flat.views(ahead)
        before = [values[number].clone() for number in self._matrices]
        self._adam.step(learning_rate * self._settings.vector_learning_rate)
        for number, old in zip(self._matrices, before, strict=True):
            matrix = directions[number].flatten(1)
            size = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
            update = newton_schulz_blocks(matrix, self._settings.block).view_as(old)
            values[number].copy_(old.add_(update, alpha=-learning_rate * size))

    def state(self) -> dict[str, Tensor]:
        return {"momentum": self._momentum, **self._adam.state()}


def newton_schulz_blocks(matrix: Tensor, block: int) -> Tensor:
    """Orthogonalise a matrix, its shorter side cut into equal parts of at most ``block`` rows; 0 leaves it whole."""
    short = min(matrix.shape)
    if not block or short <= block:
        return newton_schulz(matrix)
    across = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if across else matrix
    parts = torch.cat([newton_schulz(part) for part in wide.tensor_split(-(-short // block))])
    return parts.T if across else parts


def newton_schulz(matrix: Tensor, steps: int = 5) -> Tensor:
    """Bring all singular values of a matrix near one, keeping its singular vectors.

    The quintic Newton-Schulz iteration of Muon, run on the small square ``matrix @ matrix.T`` and multiplied out
    once at the end: all its factors are polynomials of that square, so they commute.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    square = wide @ wide.T
    a, b, c = 3.4445, -4.7750, 2.0315
    product: Tensor | None = None
    for step in range(steps):
        factor = torch.addmm(square, square, square, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if step < steps - 1:
            square = factor @ (square @ factor)
    assert product is not None
    result = product @ wide
    return result if matrix.shape[0] <= matrix.shape[1] else result.T

"""Learning-rate schedules: pure functions of how much of the training is done.

Each maps progress, 0 at the first step and 1 after the last, to a factor on the learning rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from narrows.options import Option


@dataclass(frozen=True)
class Schedule(Option):
    """The family of schedules."""

    def factor(self, progress: float) -> float:
        """Return the factor on the learning rate at this progress, 0 to 1."""
        raise TypeError(f"{type(self).__name__} is not a schedule")


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate throughout, as in a first course."""

    def factor(self, progress: float) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Trapezoid(Schedule):
    """Full rate for a while, then a straight line down to zero.

    Parameters
    ----------
    flat : float, default 0.3
        Share of the training at full rate.
    warmup : float, default 0.02
        Share of the training over which the rate first rises from zero.
    """

    flat: float = 0.3
    warmup: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 <= self.warmup <= self.flat < 1):
            raise ValueError(f"a trapezoid needs 0 <= warmup <= flat < 1, got {self!r}")

    def factor(self, progress: float) -> float:
        """Return the height of the trapezoid."""
        rise = (progress + 1e-3) / self.warmup if self.warmup else 1.0
        return max(0.0, min(1.0, rise, (1 - progress) / (1 - self.flat)))


@dataclass(frozen=True)
class Cosine(Schedule):
    """Down from full rate to zero along half a cosine (Loshchilov and Hutter 2017)."""

    def factor(self, progress: float) -> float:
        """Return the height of the half cosine."""
        return 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress))))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from a small rate to the full one, then down along a cosine (Smith 2018); for deep networks.

    Parameters
    ----------
    peak : float, default 0.3
        Where in the training the rate is full.
    start : float, default 0.04
        The factor at the first step.
    """

    peak: float = 0.3
    start: float = 0.04

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < self.peak < 1 and 0 < self.start <= 1):
            raise ValueError(f"one cycle needs 0 < peak < 1 and 0 < start <= 1, got {self!r}")

    def factor(self, progress: float) -> float:
        """Return the height of the cycle."""
        progress = min(1.0, max(0.0, progress))
        if progress < self.peak:
            return self.start + (1 - self.start) * 0.5 * (1 - math.cos(math.pi * progress / self.peak))
        return 0.5 * (1 + math.cos(math.pi * (progress - self.peak) / (1 - self.peak)))


@dataclass(frozen=True)
class KLWeight:
    """How the KL counts beside the reconstruction: with ``beta`` in the end, rising from zero while it warms up."""

    beta: float = 1.0
    # Fraction of the training over which the weight rises in a straight line.
    warmup: float = 0.0
    # Nats of each number of the code that cost nothing, on the average of a batch.
    free_bits: float = 0.0

    def at(self, progress: float) -> float:
        """Return the weight when this much of the training is done, 0 to 1.

        Examples
        --------
        >>> [KLWeight(2.0, warmup=0.5).at(progress) for progress in (0, 0.25, 0.5, 1)]
        [0.0, 1.0, 2.0, 2.0]
        """
        return self.beta if self.warmup <= 0 else self.beta * min(1.0, progress / self.warmup)

"""What may be asked, and how it is refused: checks of numbers, devices and seeds that all rooms share."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["check_number", "resolve_device", "resolve_seed"]


def check_number(
    name: str,
    value: Any,
    *,
    integer: bool = False,
    low: float = 0,
    high: float = float("inf"),
    open_low: bool = False,
    auto: bool = False,
    none: bool = False,
) -> None:
    """Refuse a parameter that is no number of the kind and range it should be; the sentence says which that is."""
    if (auto and isinstance(value, str) and value == "auto") or (none and value is None):
        return
    kind = numbers.Integral if integer else numbers.Real
    good = isinstance(value, kind) and not isinstance(value, bool)
    good = good and (value > low if open_low else value >= low) and (value < high or high == float("inf"))
    if not good:
        what = "a whole number" if integer else "a number"
        span = f" {'above' if open_low else 'of at least'} {low:g}" + (
            f" and below {high:g}" if high < float("inf") else ""
        )
        other = " or 'auto'" if auto else " or None" if none else ""
        raise ValueError(f"{name} must be {what}{span}{other}, got {value!r}")


def resolve_device(name: str) -> torch.device:
    """Return the device of this name; of "auto" the best there is."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device {name!r} is not to be had here: {str(error).splitlines()[0]}") from None
    return device


def resolve_seed(random_state: Any) -> int:
    """Turn a ``random_state`` into a number."""
    import numpy as np

    if random_state is None:
        # Not numpy's global generator: a fit leaves it untouched.
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    if isinstance(random_state, (int, np.integer)) and 0 <= random_state < 2**32:
        return int(random_state)
    if not isinstance(random_state, np.random.RandomState):
        raise ValueError(f"random_state must be None, a RandomState or a number in 0..2**32 - 1, got {random_state!r}")
    return int(random_state.randint(2**31 - 1))

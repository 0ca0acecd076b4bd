"""How many threads a step is worth."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["threads_for"]

ONE_THREAD_FLOPS = 5e7
"""Below about half a millisecond of arithmetic a step, threads wait for each other longer than they help."""


@contextmanager
def threads_for(flops: float) -> Iterator[None]:
    """Use one thread for small steps, and give torch its threads back afterwards.

    Parameters
    ----------
    flops : float
        Floating-point operations in a step.
    """
    before = torch.get_num_threads()
    if flops >= ONE_THREAD_FLOPS or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

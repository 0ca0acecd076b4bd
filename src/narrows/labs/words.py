"""Words for numbers, as the lessons of labs use them."""

from __future__ import annotations

__all__ = ["CLEARLY", "against", "and_list", "error_text", "same", "seconds_text"]

CLEARLY = 0.01
"""Errors closer than one per cent count as the same."""


def same(value: float, other: float) -> bool:
    """Return whether two errors are within one per cent of each other."""
    return abs(value - other) <= CLEARLY * max(value, other)


def against(value: float, other: float) -> str:
    """Say how an error stands to another, to be followed by what the other is.

    Examples
    --------
    >>> against(0.5, 1.0), against(0.9, 1.0), against(3.0, 1.0)
    ('2 times smaller than', '10% below', '3 times as large as')
    """
    if same(value, other):
        return "about the same as"
    if value < other:
        return f"{other / value:.2g} times smaller than" if other >= 2 * value else f"{1 - value / other:.0%} below"
    return f"{value / other:.2g} times as large as" if value >= 2 * other else f"{value / other - 1:.0%} above"


def error_text(value: float) -> str:
    """Return an error as text."""
    return f"{value:.4f}"


def seconds_text(seconds: float) -> str:
    """Return a time as text."""
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def and_list(parts: list[str]) -> str:
    """Join texts as a sentence does.

    Examples
    --------
    >>> and_list(["a", "b", "c"])
    'a, b and c'
    """
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]

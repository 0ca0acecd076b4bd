"""Frames of pandas and polars, made where one of them is what a user expects."""

from __future__ import annotations

from typing import Any

from narrows.errors import NarrowsError

__all__ = ["frame_of", "is_missing", "library_of"]


def library_of(data: Any) -> str:
    """Say which library a frame is of; pandas for everything else."""
    return "polars" if type(data).__module__.partition(".")[0] == "polars" else "pandas"


def frame_of(columns: dict[str, Any], library: str, index: Any = None) -> Any:
    """Make a frame of either library; of pandas with an index."""
    if library == "polars":
        import polars as pl

        return pl.DataFrame(columns)
    try:
        import pandas as pd
    except ImportError:
        raise NarrowsError('frames need pandas: pip install "narrows[frames]"') from None
    return pd.DataFrame(columns, index=index)


def is_missing(value: Any) -> bool:
    """Say whether a value stands for none."""
    # pandas' NA says neither yes nor no to being itself.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value

"""Series as rows: windows over time, and scores that come back per time step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from narrows.errors import DataError
from narrows.validation import check_number

__all__ = ["Windows", "windows"]


@dataclass(frozen=True)
class Windows:
    """Windows over a series, each laid out as a row.

    Attributes
    ----------
    rows : ndarray of shape (n_windows, length * n_channels)
        The windows; time runs slowest. Or a frame, with a column for each step and channel, where the series was one.
    starts : ndarray of int, shape (n_windows,)
        The first time step of each.
    length : int
        Steps in a window.
    n_steps : int
        Steps of the series.
    channels : tuple of str
        The names of the channels.
    """

    rows: Any
    starts: np.ndarray
    length: int
    n_steps: int
    channels: tuple[str, ...]

    def per_step(self, scores: Any) -> np.ndarray:
        """Bring scores of windows back to time steps: the mean over the windows that hold a step.

        Parameters
        ----------
        scores : array-like of shape (n_windows,)
            One number for each window.

        Returns
        -------
        ndarray of float64, shape (n_steps,)
        """
        values = np.asarray(scores, dtype=np.float64)
        if values.shape != (len(self.starts),):
            raise DataError(f"scores of {len(self.starts):,} windows are needed, got an array of shape {values.shape}")
        return self._mean_over_windows(np.repeat(values[:, None, None], self.length, axis=1))[:, 0]

    def series_of(self, rows: Any) -> np.ndarray:
        """Bring rows like those of the windows back to a series: the mean over the windows that hold a step.

        Parameters
        ----------
        rows : array-like or frame of shape (n_windows, length * n_channels)
            A row for each window, such as what a detector expected of it.

        Returns
        -------
        ndarray of float64, shape (n_steps, n_channels)
        """
        values = np.asarray(rows.to_numpy() if hasattr(rows, "to_numpy") else rows, dtype=np.float64)
        shape = len(self.starts), self.length * len(self.channels)
        if values.shape != shape:
            raise DataError(f"rows of the shape {shape} are needed, got an array of shape {values.shape}")
        return self._mean_over_windows(values.reshape(len(values), self.length, -1))

    def _mean_over_windows(self, steps: np.ndarray) -> np.ndarray:
        """Average values of shape (n_windows, length, n) over the windows that hold a step."""
        total, holds = np.zeros((self.n_steps, steps.shape[2])), np.zeros((self.n_steps, 1))
        for step in range(self.length):
            # No two windows have the same start, so no step of the series comes twice here.
            total[self.starts + step] += steps[:, step]
            holds[self.starts + step] += 1
        return total / holds

    def spans(self, flags: Any) -> list[tuple[int, int]]:
        """Return the spans of time steps that flagged windows cover.

        Parameters
        ----------
        flags : array-like of bool, shape (n_windows,)
            Which windows are anomalies.

        Returns
        -------
        list of (start, stop)
            Rising, apart from each other; ``stop`` is the step after the last.
        """
        values = np.asarray(flags, dtype=bool)
        if values.shape != (len(self.starts),):
            raise DataError(f"flags of {len(self.starts):,} windows are needed, got an array of shape {values.shape}")
        covered = np.zeros(self.n_steps + 2, dtype=np.int64)
        np.add.at(covered, self.starts[values] + 1, 1)
        np.add.at(covered, self.starts[values] + self.length + 1, -1)
        inside = np.cumsum(covered) > 0
        edges = np.flatnonzero(np.diff(inside.astype(np.int8)))
        return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def windows(series: Any, length: int, stride: int = 1) -> Windows:
    """Cut a series into windows, each a row: for detectors, which take rows.

    Windows that overlap are alike. For thresholds and p-values that hold, fit to windows that do not
    (``stride=length``); those that are scored may overlap.

    Parameters
    ----------
    series : array-like of shape (n_steps,) or (n_steps, n_channels), or frame
        The series, oldest step first.
    length : int
        Steps in a window.
    stride : int, default 1
        Steps from the start of one window to that of the next, at most ``length``. Where it does not divide the series,
        one more window ends with its last step, so that every step is in a window.

    Returns
    -------
    Windows
        With the rows, and the way back from scores of windows to scores of time steps.

    Raises
    ------
    DataError
        If the series is shorter than a window, or has more than two dimensions.

    Examples
    --------
    >>> import numpy as np, narrows
    >>> wave = np.sin(np.arange(600) / 5.0) + 0.05 * np.random.default_rng(0).normal(size=600)
    >>> wave[500:510] = 0.0
    >>> cut = narrows.windows(wave, length=20)
    >>> detector = narrows.AnomalyDetector(random_state=0).fit(cut.rows[:380])
    >>> scores = cut.per_step(detector.anomaly_score(cut.rows))
    >>> bool(490 <= scores.argmax() < 520)
    True
    """
    check_number("length", length, integer=True, low=1)
    check_number("stride", stride, integer=True, low=1)
    if stride > length:
        raise ValueError(f"stride must be at most the length of a window, {length}, or steps are in none; got {stride}")
    names = tuple(str(name) for name in series.columns) if hasattr(series, "columns") else None
    values = np.asarray(series.to_numpy() if hasattr(series, "to_numpy") else series)
    if values.ndim not in (1, 2):
        raise DataError(f"a series has one or two dimensions, time first, not the shape {values.shape}")
    values = values[:, None] if values.ndim == 1 else values
    n_steps, n_channels = values.shape
    if n_steps < length:
        raise DataError(f"a series of {n_steps:,} steps has no window of {length:,}")
    starts = np.arange(0, n_steps - length + 1, stride)
    if starts[-1] + length < n_steps:
        starts = np.append(starts, n_steps - length)
    view = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)
    # (n_windows, n_channels, length) to time slowest.
    rows = view[starts].transpose(0, 2, 1).reshape(len(starts), length * n_channels)
    channels = names or tuple(f"x{number}" for number in range(n_channels))
    return Windows(_framed(series, rows, channels, length), starts, int(length), n_steps, channels)


def _framed(series: Any, rows: np.ndarray, channels: Sequence[str], length: int) -> Any:
    """Give rows the names of their channels, with the step within the window, where the series was a frame."""
    if not hasattr(series, "columns"):
        return rows
    names = [f"{channel}[{step}]" for step in range(length) for channel in channels]
    if hasattr(series, "schema"):
        import polars as pl

        return pl.DataFrame(rows, schema=names)
    import pandas as pd

    return pd.DataFrame(rows, columns=names)

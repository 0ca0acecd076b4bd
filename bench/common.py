"""What the scripts here share: fresh processes, peak memory, alternating runs, and the table that is printed."""

from __future__ import annotations

import ast
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np

JOB = "--job"


def run_script(main: Callable[[], None], job: Callable[[dict], dict] | None = None) -> None:
    """Run a script: as a person calls it, or one job of it when :func:`fresh` has called it."""
    if job is not None and len(sys.argv) == 3 and sys.argv[1] == JOB:
        answer = job(json.loads(sys.argv[2]))
        print(json.dumps(answer), flush=True)
    else:
        main()


def fresh(script: str | Path, job: dict, python: str = sys.executable, env: dict[str, str] | None = None) -> dict:
    """Run one job of a script in a process of its own; its last line is JSON."""
    return last_json([python, str(script), JOB, json.dumps(job)], env)


def last_json(command: list[str], env: dict[str, str] | None = None) -> dict:
    """Run a command and read the last line it prints as JSON."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | (env or {}))
    if done.returncode:
        raise SystemExit(f"{Path(command[1]).name} failed ({done.returncode}):\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def say(text: str) -> None:
    """Tell whoever waits how far the run is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass
class Line:
    """One line of a result table.

    Attributes
    ----------
    what : str
        What was measured.
    values : sequence of float
        Every value, in the order measured.
    form : str
        How to print one.
    most, least : float or None
        The bar: the median must not be above, or below.
    bar : str
        The bar in words, where it is not just a limit.
    """

    what: str
    values: Sequence[float]
    form: str = ".3g"
    most: float | None = None
    least: float | None = None
    bar: str = ""

    def cells(self) -> list[str]:
        """Return the cells: what, median, all values, bar, met or not."""
        values = [float(value) for value in self.values]
        if not values:
            return [self.what, "–", "–", self.bar, ""]
        median = statistics.median(values)
        limits = [f"≥ {self.least:g}"] if self.least is not None else []
        limits += [f"≤ {self.most:g}"] if self.most is not None else []
        met = ""
        if limits:
            low = self.least if self.least is not None else -float("inf")
            high = self.most if self.most is not None else float("inf")
            met = "yes" if low <= median <= high else "**no**"
        every = " ".join(format(value, self.form) for value in values)
        return [self.what, format(median, self.form), every, "; ".join([*limits, *filter(None, [self.bar])]), met]


def show(title: str, lines: Sequence[Line], notes: Sequence[str] = ()) -> None:
    """Print a result table in Markdown."""
    print(f"\n### {title}\n")
    print("| measured | median | all values | bar | met |\n|---|---|---|---|---|")
    for line in lines:
        print("| " + " | ".join(line.cells()) + " |")
    for note in notes:
        print(f"\n{note}")
    sys.stdout.flush()


def parameter(text: str) -> tuple[str, Any]:
    """Take ``NAME=VALUE`` apart; a value that is none of Python's is a name, such as ``adam``."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def machine() -> str:
    """Say on what and with which versions this was run."""
    names = []
    for name in ("narrows", "torch", "numpy", "scikit-learn", "pyarrow"):
        with suppress(PackageNotFoundError):
            names.append(f"{name} {version(name)}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{model}, {cores} cores; Python {platform.python_version()}, {', '.join(names)}."


def mnist(rows: int | None = None) -> Any:
    """Return MNIST (``narrows.datasets``), with only the first ``rows`` training rows where a number is given."""
    from dataclasses import replace

    from narrows import datasets

    data = datasets.load("mnist")
    if rows is None:
        return data
    return replace(data, train=data.train[:rows].copy(), train_labels=data.train_labels[:rows].copy())


def pixel_error(model: Any, X: np.ndarray, unit: float) -> float:
    """Return the mean squared error of the reconstruction, in units of ``unit``: 255 for bytes, 1 for 0..1."""
    return float(model.reconstruction_error(X).mean()) / unit**2


def epoch_seconds(history: list[dict]) -> list[float]:
    """Return how long each epoch took, from a history with a record for each epoch."""
    ends = [record["seconds"] for record in history]
    return [late - early for early, late in zip([0.0, *ends], ends, strict=False)]


def _status(name: str) -> int | None:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    return None


def peak_rss() -> int:
    """Return the most memory this process has held, in bytes.

    Linux counts ``ru_maxrss`` from the process that forked this one, so the kernel's own mark is read there.
    """
    found = _status("VmHWM")
    if found is None:
        import resource

        found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return found


class Growth:
    """How much memory a block of code adds at its peak, beyond what was held when it began.

    Attributes
    ----------
    resident : int
        Bytes, pages of mapped files included; from the kernel's peak mark, set back at the start where it can be.
    own : int or None
        Bytes without the pages of mapped files, looked at every two milliseconds; None where the system does not tell.
    """

    def __enter__(self) -> Self:
        import gc

        gc.collect()
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._before = _status("VmRSS") or peak_rss()
        self._own_before = self._own_peak = _status("RssAnon")
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        if self._own_before is not None:
            self._watcher.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            self._own_peak = max(self._own_peak or 0, _status("RssAnon") or 0)

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self.resident = peak_rss() - self._before
        self.own: int | None = None
        if self._own_before is not None and self._own_peak is not None:
            self._watcher.join()
            self.own = max(self._own_peak, _status("RssAnon") or 0) - self._own_before


def alternate(systems: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure several systems by turns: A B C, A B C, and so on."""
    found: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name, measure in systems.items():
            found[name].append(measure())
    return found


def timed(action: Callable[[], object]) -> float:
    """Return the seconds an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratios of values that were measured side by side."""
    return [a / b for a, b in zip(above, below, strict=True)]


def slices(n: int, size: int) -> Iterator[slice]:
    """Cut ``n`` rows into slices of ``size``, the last as short as it comes."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))

"""How a fit is followed: callbacks, and a progress bar with loss, rows a second and time left."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from narrows.training.loop import TrainConfig

REFRESH_SECONDS = 0.1


@dataclass
class ProgressCallbacks:
    """What is called at the begin of each training of a fit, after each step, and with each history record."""

    on_run: Callable[[str, TrainConfig, int], None] = lambda name, config, n_runs: None  # noqa: ARG005
    on_step: Callable[[int], None] = lambda rows: None  # noqa: ARG005
    on_record: Callable[[dict[str, Any]], bool | None] = lambda record: None  # noqa: ARG005


@contextmanager
def progress_bar(callbacks: Sequence[Callable[[dict[str, Any]], Any]], verbose: int) -> Iterator[ProgressCallbacks]:
    """Yield what tells the callbacks of every record and, when ``verbose``, draws the bar."""

    def tell(record: dict[str, Any]) -> bool:
        # Every callback hears of every record, also when an earlier one asks to stop.
        return any([bool(callback(record)) for callback in callbacks])  # noqa: C419

    if not verbose:
        yield ProgressCallbacks(on_record=tell)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[losses]}"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), transient=verbose < 2) as progress:
        bar = _Bar(progress, tell, chatty=verbose >= 2)
        yield ProgressCallbacks(bar.on_run, bar.on_step, bar.on_record)


@contextmanager
def stage_progress() -> Iterator[Callable[[str, float], None]]:
    """Yield what takes the stages of long work and draws them: a bar on a terminal, otherwise a line for each."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        seen: set[str] = set()

        def say(stage: str, fraction: float) -> None:  # noqa: ARG001
            if stage not in seen:
                seen.add(stage)
                console.print(stage, highlight=False)

        yield say
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda stage, fraction: progress.update(task, description=stage, completed=fraction)


class _Bar:
    """Keeps one rich progress task in step with the trainings of a fit."""

    def __init__(self, progress: Any, tell: Callable[[dict[str, Any]], bool], *, chatty: bool) -> None:
        self._progress, self._tell, self._chatty = progress, tell, chatty
        self._task: Any = None
        self._rows = self._waiting = 0
        self._began = self._drawn = time.monotonic()

    def on_run(self, name: str, config: TrainConfig, n_runs: int) -> None:
        steps = config.stop_at if config.stop_at is not None else config.steps
        if self._task is not None:
            self._progress.remove_task(self._task)
        label = name if n_runs > 1 else "fit"
        self._task = self._progress.add_task(label, total=max(1, steps * config.batch_size), losses="", speed="")
        self._rows = self._waiting = 0
        self._began = time.monotonic()

    def on_step(self, rows: int) -> None:
        self._rows += rows
        self._waiting += rows
        if time.monotonic() - self._drawn >= REFRESH_SECONDS:
            self._draw()

    def _draw(self, **fields: str) -> None:
        now = time.monotonic()
        speed = f"{self._rows / max(now - self._began, 1e-9):,.0f} rows/s"
        self._progress.update(self._task, advance=self._waiting, speed=speed, **fields)
        self._waiting, self._drawn = 0, now

    def on_record(self, record: dict[str, Any]) -> bool:
        named = (("loss", "loss"), ("val_loss", "held out"))
        losses = "  ".join(f"{label} {record[key]:.5g}" for key, label in named if key in record)
        self._draw(losses=losses)
        if self._chatty:
            self._progress.console.print(f"epoch {record['epoch']:.4g}, step {record['step']}: {losses}")
        return self._tell(record)

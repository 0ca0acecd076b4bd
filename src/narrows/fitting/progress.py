"""What a fit shows while it runs: a progress bar with loss, rows a second and time left."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from narrows.fitting.run import ProgressCallbacks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from narrows.autoencoder import Autoencoder
    from narrows.training.loop import TrainConfig

__all__ = ["progress_bar", "stage_progress"]

REFRESH_SECONDS = 0.1


@contextmanager
def progress_bar(estimator: Autoencoder, n_rows: int) -> Iterator[ProgressCallbacks]:
    """Yield the monitor of a fit: it calls the callbacks and, when ``verbose``, draws the bar."""
    callbacks = list(estimator.callbacks)

    def tell(record: dict[str, Any]) -> bool:
        # Every callback hears of every record, also when an earlier one asks to stop.
        return any([bool(callback(record)) for callback in callbacks])  # noqa: C419

    if not estimator.verbose:
        yield ProgressCallbacks(on_record=tell)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[losses]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=estimator.verbose < 2) as progress:
        yield _Bar(progress, tell, n_rows, chatty=estimator.verbose >= 2).monitor()


@contextmanager
def stage_progress() -> Iterator[Callable[[str, float], None]]:
    """Yield what is told of stages of long work and draws them: a bar on a terminal, otherwise a line for each."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        seen: set[str] = set()

        def say(stage: str, share: float) -> None:  # noqa: ARG001
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
        yield lambda stage, share: progress.update(task, description=stage, completed=share)


class _Bar:
    """Keeps one rich progress task in step with the runs of a fit."""

    def __init__(self, progress: Any, tell: Any, n_rows: int, *, chatty: bool) -> None:
        self._progress, self._tell, self._n_rows, self._chatty = progress, tell, n_rows, chatty
        self._task: Any = None
        self._rows = self._waiting = 0
        self._began = self._drawn = time.monotonic()

    def monitor(self) -> ProgressCallbacks:
        return ProgressCallbacks(self._on_run, self._on_step, self._on_record)

    def _on_run(self, name: str, plan: TrainConfig, n_runs: int) -> None:
        steps = plan.stop_at if plan.stop_at is not None else plan.steps
        if self._task is not None:
            self._progress.remove_task(self._task)
        label = name if n_runs > 1 else "fit"
        self._task = self._progress.add_task(label, total=max(1, steps * plan.batch_size), losses="", rate="")
        self._rows = self._waiting = 0
        self._began = time.monotonic()

    def _on_step(self, rows: int) -> None:
        self._rows += rows
        self._waiting += rows
        if time.monotonic() - self._drawn >= REFRESH_SECONDS:
            self._draw()

    def _draw(self, **fields: str) -> None:
        now = time.monotonic()
        rate = f"{self._rows / max(now - self._began, 1e-9):,.0f} rows/s"
        self._progress.update(self._task, advance=self._waiting, rate=rate, **fields)
        self._waiting, self._drawn = 0, now

    def _on_record(self, record: dict[str, Any]) -> bool:
        named = (("loss", "loss"), ("val_loss", "held out"))
        losses = "  ".join(f"{label} {record[key]:.5g}" for key, label in named if key in record)
        self._draw(losses=losses)
        if self._chatty:
            self._progress.console.print(f"epoch {record['epoch']:.4g}, step {record['step']}: {losses}")
        return bool(self._tell(record))

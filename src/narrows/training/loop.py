"""The one loop that trains everything.

What differs from model to model is passed in: rows, a loss, a configuration, and what to do at each moment. The loop
knows steps, evaluations, the best weights so far, time, interruption, divergence and checkpoints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from narrows.data.rows import Rows
from narrows.errors import TrainingDivergedError
from narrows.training.checkpoint import RunCheckpoint
from narrows.training.optimisers import FlatParameters, Optimizer, OptimizerState
from narrows.training.schedules import Schedule

RETRY_FACTOR = 0.1

CLOCK_FROM = 0.02
"""Fraction of the time limit from which on the schedule looks at the clock."""

ONE_THREAD_FLOPS = 5e7
"""Below about half a millisecond of arithmetic a step, threads wait for each other longer than they help."""

_SAVED_STATE = (
    *("step", "epoch", "batch", "history", "evaluated", "best"),
    *("rate_factor", "seconds", "stopped", "sums", "rows"),
)
_SAVED_TENSORS = ("best_values", "start_values")


@dataclass(frozen=True)
class LossParts:
    """The parts of a loss, each of shape (rows,): sums over features, never averages.

    Logs, early stopping, scores and explanations all read these.
    """

    parts: dict[str, Tensor]
    # Where that is not the sum of the parts.
    minimised: Tensor | None = None

    @property
    def total(self) -> Tensor:
        """What is minimised, shape (rows,): the sum of the parts if nothing else is said."""
        if self.minimised is not None:
            return self.minimised
        first, *rest = self.parts.values()
        for part in rest:
            first = first + part
        return first

    @property
    def several(self) -> dict[str, Tensor]:
        """The parts, where there is more than one."""
        return self.parts if len(self.parts) > 1 else {}

    @classmethod
    def joined(cls, found: Iterable[LossParts]) -> LossParts:
        """Put the losses of several blocks of rows one after the other, on the CPU."""
        losses = list(found)
        parts = {name: torch.cat([loss.parts[name].cpu() for loss in losses]) for name in losses[0].parts}
        summed = losses[0].minimised is None
        return cls(parts, None if summed else torch.cat([loss.total.cpu() for loss in losses]))


class LossFunction(Protocol):
    """From a batch in the data's own type and units to its loss."""

    def __call__(self, batch: Tensor, generator: Generator | None, progress: float = 1.0) -> LossParts:
        """Return the loss of each row; without a generator nothing random happens, and schedules read ``progress``."""
        ...


@dataclass(frozen=True)
class TrainConfig:
    """How to train, all decided."""

    optimizer: Optimizer
    schedule: Schedule
    # The peak rate.
    learning_rate: float
    batch_size: int
    # The budget that the schedule is laid over.
    steps: int
    # Steps between two evaluations, and records in the history.
    evaluate_every: int
    # Evaluations without a new best before the training stops; None never stops.
    patience: int | None = None
    # Last step, when earlier than the budget: a refit ends where the run it repeats was best.
    stop_at: int | None = None
    # The schedule then follows the clock when that is ahead, once a fiftieth of the time is spent.
    max_seconds: float | None = None
    # A held-out loss this far above the first one means that the training diverges.
    hopeless: float | None = None
    # Multiplications that the model takes for a row, if that is not the number of its parameters.
    work: int = 0


@dataclass
class TrainerCallbacks:
    """What to do at each moment of the training."""

    # After each step, given the number of rows.
    on_step: Callable[[int], None] = lambda rows: None  # noqa: ARG005
    # After each evaluation, given the new history record; a true answer stops the training.
    on_record: Callable[[dict[str, Any]], bool | None] = lambda record: None  # noqa: ARG005
    # At each evaluation, for what else the record is to say of the model.
    statistics: Callable[[], dict[str, float]] = dict


@dataclass
class TrainResult:
    """How a training went, and all it needs to go on."""

    step: int = 0
    # Whole passes over the rows, and batches taken in the pass under way.
    epoch: int = 0
    batch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    # The steps at which held-out rows were evaluated, the loss of each of them then, and which evaluation was best.
    evaluated: list[int] = field(default_factory=list)
    held_out: list[Tensor] = field(default_factory=list)
    best: int = 0
    # Parameters now, at the best evaluation, and before the first step.
    values: Tensor = field(default_factory=lambda: torch.empty(0))
    best_values: Tensor = field(default_factory=lambda: torch.empty(0))
    start_values: Tensor = field(default_factory=lambda: torch.empty(0))
    # Below 1 after a retry.
    rate_factor: float = 1.0
    # Spent so far, earlier sittings included.
    seconds: float = 0.0
    # Why it ended: "budget", "patience", "time", "callback" or "interrupted"; empty while it runs.
    stopped: str = ""
    # Losses summed over the rows that were trained on since the last record, and how many rows these are.
    sums: dict[str, float] = field(default_factory=dict)
    rows: int = 0


class _Diverged(Exception):  # noqa: N818 - caught by the loop itself
    def __init__(self, step: int, learning_rate: float, loss: float) -> None:
        super().__init__()
        self.step, self.learning_rate, self.loss = step, learning_rate, loss


def train(
    module: nn.Module,
    rows: Rows,
    loss: LossFunction,
    config: TrainConfig,
    *,
    seed: int,
    evaluate: Callable[[], LossParts] | None = None,
    callbacks: TrainerCallbacks | None = None,
    checkpoint: RunCheckpoint | None = None,
) -> TrainResult:
    """Train a module in place; its parameters end at the last step, the best ones are in the result.

    Raises
    ------
    TrainingDivergedError
        If the loss becomes infinite, not a number or hopeless, and again at a tenth of the rate.
    """
    flops = 6.0 * (config.work or sum(p.numel() for p in module.parameters())) * config.batch_size
    with torch.random.fork_rng(devices=[]), _threads_for(flops):
        trainer = _Trainer(module, rows, loss, config, seed, evaluate, callbacks or TrainerCallbacks(), checkpoint)
        try:
            return trainer.run_or_retry()
        finally:
            trainer.flat.release()


@contextmanager
def _threads_for(flops: float) -> Iterator[None]:
    """Use one thread for small steps, and give torch its threads back afterwards."""
    before = torch.get_num_threads()
    if flops >= ONE_THREAD_FLOPS or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_batches(module: nn.Module, batch_size: int, n_rows: int) -> int:
    """Return the fewest rows a batch may have: two where the module normalises over the batch, otherwise one."""
    if not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()):
        return 1
    if min(batch_size, n_rows) < 2:
        raise ValueError("a network with batch normalisation needs at least two rows, and batches of two or more")
    return 2


class _Trainer:
    """One training: the loop and what it keeps."""

    def __init__(
        self,
        module: nn.Module,
        rows: Rows,
        loss: LossFunction,
        config: TrainConfig,
        seed: int,
        evaluate: Callable[[], LossParts] | None,
        callbacks: TrainerCallbacks,
        checkpoint: RunCheckpoint | None,
    ) -> None:
        self.module, self.rows, self.loss, self.config = module, rows, loss, config
        self.seed, self.evaluate, self.callbacks, self.checkpoint = seed, evaluate, callbacks, checkpoint
        self.least_rows = check_batches(module, config.batch_size, rows.n_rows)
        self.flat = FlatParameters(module)
        self.optimizer: OptimizerState = config.optimizer.init_state(self.flat)
        self.generator = torch.Generator(self.flat.values.device).manual_seed(seed)
        torch.manual_seed(seed)
        self.state = TrainResult(start_values=self.flat.values.clone())
        self.last = min(config.steps, config.stop_at if config.stop_at is not None else config.steps)
        self.learning_rate = 0.0
        self.began = time.perf_counter()
        self._resume()

    def _resume(self) -> None:
        found = None if self.checkpoint is None else self.checkpoint.load()
        if found is None:
            return
        plain, tensors = found
        for name in _SAVED_STATE:
            setattr(self.state, name, plain[name])
        for name in _SAVED_TENSORS:
            setattr(self.state, name, tensors[name].to(self.flat.values.device))
        self.state.held_out = list(tensors["held_out"]) if "held_out" in tensors else []
        self.flat.values.copy_(tensors["values"])
        prefix = "optimizer."
        self.optimizer.restore({n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)})
        self.generator.set_state(tensors["generator"])
        torch.set_rng_state(tensors["global"])

    def _save(self) -> None:
        assert self.checkpoint is not None
        plain = {name: getattr(self.state, name) for name in _SAVED_STATE} | {"seconds": self._seconds()}
        tensors = {name: getattr(self.state, name) for name in _SAVED_TENSORS}
        tensors["values"] = self.flat.values
        tensors |= {f"optimizer.{name}": value for name, value in self.optimizer.state().items()}
        tensors["generator"], tensors["global"] = self.generator.get_state(), torch.get_rng_state()
        if self.state.held_out:
            tensors["held_out"] = torch.stack(self.state.held_out)
        self.checkpoint.save(plain, tensors)

    def _start_again(self, rate_factor: float) -> None:
        self.flat.values.copy_(self.state.start_values)
        self.optimizer = self.config.optimizer.init_state(self.flat)
        self.generator.manual_seed(self.seed)
        torch.manual_seed(self.seed)
        seconds = self.state.seconds
        self.state = TrainResult(start_values=self.state.start_values, rate_factor=rate_factor, seconds=seconds)

    def run_or_retry(self) -> TrainResult:
        try:
            return self._run()
        except _Diverged:
            self._start_again(RETRY_FACTOR)
        try:
            return self._run()
        except _Diverged as again:
            raise TrainingDivergedError(
                f"the loss became {again.loss:g} at step {again.step} with learning rate {again.learning_rate:.2g}, "
                "after a first try at ten times that rate went the same way: set a lower learning_rate, and look for "
                "extreme values in the data"
            ) from None

    def _run(self) -> TrainResult:
        state = self.state
        try:
            if not state.stopped:
                if not state.evaluated:
                    self._record(first=True)
                while not state.stopped and state.step < self.last:
                    self._epoch()
        except KeyboardInterrupt:
            state.stopped = "interrupted"
        state.stopped = state.stopped or "budget"
        state.values = self.flat.values.clone()
        if self.evaluate is None:
            state.best_values = state.values
        state.seconds = self._seconds()
        self.began = time.perf_counter()
        if self.checkpoint is not None and state.stopped != "interrupted":
            self._save()
        return state

    def _epoch(self) -> None:
        state, config = self.state, self.config
        self.module.train()
        epoch_seed = (self.seed + 1_000_003 * state.epoch) % 2**63
        for batch in self.rows.batches(config.batch_size, epoch_seed, skip=state.batch):
            if len(batch) < self.least_rows:
                continue
            self._step(batch)
            if state.step % config.evaluate_every == 0 or state.step >= self.last:
                self._record()
                self.module.train()
            if state.step >= self.last or state.stopped:
                return
            if self.checkpoint is not None and self.checkpoint.due():
                self._save()
        state.epoch += 1
        state.batch = 0

    def _step(self, batch: Tensor) -> None:
        state, config = self.state, self.config
        if batch.device != self.flat.values.device:
            batch = batch.to(self.flat.values.device)
        loss = self.loss(batch, self.generator, self._progress())
        total = loss.total
        self.flat.backward(total.mean())
        self.learning_rate = config.learning_rate * state.rate_factor * config.schedule.factor(self._progress())
        self.optimizer.step(self.learning_rate)
        state.step += 1
        state.batch += 1
        self._add(loss, total, len(batch))
        self.callbacks.on_step(len(batch))

    def _progress(self) -> float:
        done = self.state.step / self.config.steps
        if self.config.max_seconds is not None:
            spent = min(1.0, self._seconds() / self.config.max_seconds)
            # A slow first step must not make a fit that is far from its limit depend on the clock.
            done = max(done, spent) if spent > CLOCK_FROM else done
        return done

    def _seconds(self) -> float:
        return self.state.seconds + time.perf_counter() - self.began

    def _add(self, loss: LossParts, total: Tensor, rows: int) -> None:
        state = self.state
        for name, part in {"loss": total, **loss.several}.items():
            value = float(part.detach().sum())
            state.sums[name] = state.sums.get(name, 0.0) + value
            if not abs(value) < float("inf"):
                raise _Diverged(state.step, self.learning_rate, value / rows)
        state.rows += rows
        if self.config.max_seconds is not None and self._seconds() > self.config.max_seconds:
            state.stopped = "time"
            self._record()

    def _record(self, *, first: bool = False) -> None:
        """Evaluate, and add a record to the history, unless this step has one already."""
        state = self.state
        last = state.evaluated[-1:] + [record["step"] for record in state.history[-1:]]
        if state.step in last:
            return
        record: dict[str, Any] = {"step": state.step, "epoch": self._passes(), "seconds": self._seconds()}
        if not first:
            record |= {name: value / state.rows for name, value in state.sums.items()}
            record["learning_rate"] = self.learning_rate
        if self.evaluate is not None:
            record |= self._evaluate()
        if not first or self.evaluate is not None:
            record |= self._statistics()
            state.history.append(record)
            if self.callbacks.on_record(record):
                state.stopped = state.stopped or "callback"
        state.sums, state.rows = {}, 0

    def _passes(self) -> float:
        part = min(1.0, self.state.batch * self.config.batch_size / max(1, self.rows.n_rows))
        return round(self.state.epoch + part, 4)

    def _statistics(self) -> dict[str, float]:
        self.module.eval()
        with torch.no_grad():
            return self.callbacks.statistics()

    def _evaluate(self) -> dict[str, float]:
        assert self.evaluate is not None
        state, config = self.state, self.config
        self.module.eval()
        with torch.no_grad():
            found = self.evaluate()
        losses = found.total
        state.evaluated.append(state.step)
        state.held_out.append(losses)
        means = [float(values.double().mean()) for values in state.held_out]
        now = means[-1]
        if not now < float("inf") or (config.hopeless is not None and now > config.hopeless + means[0]):
            raise _Diverged(state.step, self.learning_rate, now)
        if len(means) == 1 or now < means[state.best]:
            state.best = len(means) - 1
            state.best_values = self.flat.values.clone()
        elif config.patience is not None and len(means) - 1 - state.best >= config.patience:
            state.stopped = state.stopped or "patience"
        return {"val_loss": now} | {f"val_{n}": float(part.double().mean()) for n, part in found.several.items()}

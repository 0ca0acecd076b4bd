"""The one loop that trains everything.

What differs from model to model is passed in: rows, an objective, a plan, and what to do at each moment. The loop
knows steps, evaluations, the best weights so far, time, interruption, divergence and checkpoints.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from narrows.errors import TrainingDivergedError
from narrows.training.optimisers import FlatParameters
from narrows.training.threads import threads_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from narrows.data.rows import Rows
    from narrows.training.checkpoint import Checkpoints
    from narrows.training.objective import LossParts, Objective
    from narrows.training.optimisers import Optimizer, OptimizerState
    from narrows.training.schedules import Schedule

__all__ = ["TrainConfig", "TrainResult", "TrainerCallbacks", "train"]

RETRY_FACTOR = 0.1

CLOCK_FROM = 0.02
"""Share of the time limit from which on the schedule looks at the clock."""

TOTAL = "loss"


@dataclass(frozen=True)
class TrainConfig:
    """How to train, all decided.

    Attributes
    ----------
    optimizer, schedule : Optimizer, Schedule
        Option values.
    learning_rate : float
        The peak rate.
    batch_size : int
        Rows in a step.
    steps : int
        The budget that the schedule is laid over.
    evaluate_every : int
        Steps between two evaluations (and records in the history).
    patience : int or None
        Evaluations without a new best before the training stops; None never stops.
    stop_at : int or None
        Last step, when earlier than the budget: a refit ends where the run it repeats was best.
    max_seconds : float or None
        Limit on the time of this run; the schedule then follows the clock when that is ahead, once
        a fiftieth of the time is spent.
    hopeless : float or None
        A held-out loss this far above the first one means that the training diverges.
    work : int
        Multiplications that the model takes for a row, if that is not the number of its parameters.
    """

    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    batch_size: int
    steps: int
    evaluate_every: int
    patience: int | None = None
    stop_at: int | None = None
    max_seconds: float | None = None
    hopeless: float | None = None
    work: int = 0


@dataclass
class TrainerCallbacks:
    """What to do at each moment of the training.

    Attributes
    ----------
    on_step : callable
        After each step, given the number of rows.
    on_record : callable
        After each evaluation, given the new history record; a true answer stops the training.
    facts : callable
        At each evaluation, for what else the record is to say of the model.
    """

    on_step: Callable[[int], None] = lambda rows: None  # noqa: ARG005
    on_record: Callable[[dict[str, Any]], bool | None] = lambda record: None  # noqa: ARG005
    facts: Callable[[], dict[str, float]] = dict


@dataclass
class TrainResult:
    """How a training went, and all it needs to go on.

    Attributes
    ----------
    step, epoch, batch : int
        Steps taken; whole passes over the rows; batches taken in the pass under way.
    history : list of dict
        One record an evaluation.
    evaluated : list of int
        The steps at which held-out rows were evaluated.
    held_out : list of Tensor
        The loss of each held-out row at those steps.
    best : int
        Position in ``evaluated`` of the best.
    values, best_values, start_values : Tensor
        Parameters now, at the best evaluation, and before the first step.
    rate_factor : float
        Below 1 after a retry.
    seconds : float
        Spent so far, earlier sittings included.
    stopped : str
        Why it ended: "budget", "patience", "time", "callback" or "interrupted"; empty while it runs.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)
    held_out: list[Tensor] = field(default_factory=list)
    best: int = 0
    values: Tensor = field(default_factory=lambda: torch.empty(0))
    best_values: Tensor = field(default_factory=lambda: torch.empty(0))
    start_values: Tensor = field(default_factory=lambda: torch.empty(0))
    rate_factor: float = 1.0
    seconds: float = 0.0
    stopped: str = ""
    sums: dict[str, float] = field(default_factory=dict)
    rows: int = 0


class _Diverged(Exception):  # noqa: N818 - caught by the loop itself
    def __init__(self, step: int, rate: float, loss: float) -> None:
        super().__init__()
        self.step, self.rate, self.loss = step, rate, loss


def train(
    module: nn.Module,
    rows: Rows,
    objective: Objective,
    plan: TrainConfig,
    *,
    seed: int,
    evaluate: Callable[[], LossParts] | None = None,
    callbacks: TrainerCallbacks | None = None,
    checkpoints: Checkpoints | None = None,
) -> TrainResult:
    """Train a module in place; its parameters end at the last step, the best ones are in the outcome.

    Parameters
    ----------
    module : torch.nn.Module
        What has the parameters.
    rows : Rows
        What to train on.
    objective : Objective
        The loss of a batch.
    plan : TrainConfig
        Optimiser, rate, budget.
    seed : int
        Orders the rows, corrupts, drops out. No global random state is touched.
    evaluate : callable, optional
        Gives the loss of each held-out row, its parts apart.
    callbacks : TrainerCallbacks, optional
        What to do at each moment.
    checkpoints : Checkpoints, optional
        Where to save the state now and then, and to find the state of a training that was cut off.

    Raises
    ------
    TrainingDivergedError
        If the loss becomes infinite, not a number or hopeless, and again at a tenth of the rate.
    """
    n_parameters = sum(p.numel() for p in module.parameters())
    with torch.random.fork_rng(devices=[]), threads_for(6.0 * (plan.work or n_parameters) * plan.batch_size):
        run = _Run(module, rows, objective, plan, seed, evaluate, callbacks or TrainerCallbacks(), checkpoints)
        try:
            return run.go_or_retry()
        finally:
            run.flat.release()


class _Run:
    """One training: the loop and what it keeps."""

    def __init__(
        self,
        module: nn.Module,
        rows: Rows,
        objective: Objective,
        plan: TrainConfig,
        seed: int,
        evaluate: Callable[[], LossParts] | None,
        callbacks: TrainerCallbacks,
        checkpoints: Checkpoints | None,
    ) -> None:
        self.module, self.rows, self.objective, self.plan = module, rows, objective, plan
        self.seed, self.evaluate, self.callbacks, self.checkpoints = seed, evaluate, callbacks, checkpoints
        self.flat = FlatParameters(module)
        self.optimizer: OptimizerState = plan.optimizer.init_state(self.flat)
        self.generator = torch.Generator(self.flat.values.device).manual_seed(seed)
        torch.manual_seed(seed)
        self.state = TrainResult(start_values=self.flat.values.clone())
        self.last = min(plan.steps, plan.stop_at if plan.stop_at is not None else plan.steps)
        self.rate = 0.0
        self.began = time.perf_counter()
        if checkpoints is not None:
            checkpoints.restore(self)

    def start_again(self, rate_factor: float) -> None:
        self.flat.values.copy_(self.state.start_values)
        self.optimizer = self.plan.optimizer.init_state(self.flat)
        self.generator.manual_seed(self.seed)
        torch.manual_seed(self.seed)
        seconds = self.state.seconds
        self.state = TrainResult(start_values=self.state.start_values, rate_factor=rate_factor, seconds=seconds)

    def go_or_retry(self) -> TrainResult:
        try:
            return self.go()
        except _Diverged:
            self.start_again(RETRY_FACTOR)
        try:
            return self.go()
        except _Diverged as again:
            raise TrainingDivergedError(
                f"the loss became {again.loss:g} at step {again.step} with learning rate {again.rate:.2g}, after a "
                "first try at ten times that rate went the same way: set a lower learning_rate, and look for "
                "extreme values in the data"
            ) from None

    def go(self) -> TrainResult:
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
        state.seconds += time.perf_counter() - self.began
        self.began = time.perf_counter()
        if self.checkpoints is not None and state.stopped != "interrupted":
            self.checkpoints.save(self)
        return state

    def _epoch(self) -> None:
        state, plan = self.state, self.plan
        self.module.train()
        for batch in self.rows.batches(plan.batch_size, self._epoch_seed(), skip=state.batch):
            self._step(batch)
            if state.step % plan.evaluate_every == 0 or state.step >= self.last:
                self._record()
                self.module.train()
            if state.step >= self.last or state.stopped:
                return
            if self.checkpoints is not None and self.checkpoints.due():
                self.checkpoints.save(self)
        state.epoch += 1
        state.batch = 0

    def _epoch_seed(self) -> int:
        return (self.seed + 1_000_003 * self.state.epoch) % 2**63

    def _step(self, batch: Tensor) -> None:
        state, plan = self.state, self.plan
        if batch.device != self.flat.values.device:
            batch = batch.to(self.flat.values.device)
        loss = self.objective(batch, self.generator, self._progress())
        total = loss.total
        self.flat.backward(total.mean())
        self.rate = plan.learning_rate * state.rate_factor * plan.schedule.factor(self._progress())
        self.optimizer.step(self.rate)
        state.step += 1
        state.batch += 1
        self._add(loss, len(batch))
        self.callbacks.on_step(len(batch))

    def _progress(self) -> float:
        done = self.state.step / self.plan.steps
        if self.plan.max_seconds is not None:
            spent = min(1.0, self._seconds() / self.plan.max_seconds)
            # A slow first step must not make a fit that is far from its limit depend on the clock.
            done = max(done, spent) if spent > CLOCK_FROM else done
        return done

    def _seconds(self) -> float:
        return self.state.seconds + time.perf_counter() - self.began

    def _add(self, loss: LossParts, rows: int) -> None:
        state = self.state
        told = {TOTAL: loss.total} | (loss.parts if len(loss.parts) > 1 else {})
        for name, part in told.items():
            value = float(part.detach().sum())
            state.sums[name] = state.sums.get(name, 0.0) + value
            if not abs(value) < float("inf"):
                raise _Diverged(state.step, self.rate, value / rows)
        state.rows += rows
        if self.plan.max_seconds is not None and self._seconds() > self.plan.max_seconds:
            state.stopped = "time"
            self._record()

    def _record(self, *, first: bool = False) -> None:
        state = self.state
        if (state.evaluated and state.evaluated[-1] == state.step) or (
            state.history and state.history[-1]["step"] == state.step
        ):
            return
        record: dict[str, Any] = {"step": state.step, "epoch": self._passes(), "seconds": self._seconds()}
        if not first:
            record |= {name: value / state.rows for name, value in state.sums.items()}
            record["learning_rate"] = self.rate
        if self.evaluate is not None:
            record |= self._evaluate()
        if not first or self.evaluate is not None:
            record |= self._facts()
        if not first or self.evaluate is not None:
            state.history.append(record)
            if self.callbacks.on_record(record):
                state.stopped = state.stopped or "callback"
        state.sums, state.rows = {}, 0

    def _passes(self) -> float:
        part = min(1.0, self.state.batch * self.plan.batch_size / max(1, self.rows.n_rows))
        return round(self.state.epoch + part, 4)

    def _facts(self) -> dict[str, float]:
        self.module.eval()
        with torch.no_grad():
            return self.callbacks.facts()

    def _evaluate(self) -> dict[str, float]:
        assert self.evaluate is not None
        state = self.state
        self.module.eval()
        with torch.no_grad():
            found = self.evaluate()
        losses = found.total
        state.evaluated.append(state.step)
        state.held_out.append(losses)
        means = [float(values.double().mean()) for values in state.held_out]
        now = means[-1]
        if not now < float("inf") or (self.plan.hopeless is not None and now > self.plan.hopeless + means[0]):
            raise _Diverged(state.step, self.rate, now)
        if len(means) == 1 or now < means[state.best]:
            state.best = len(means) - 1
            state.best_values = self.flat.values.clone()
        elif self.plan.patience is not None and len(means) - 1 - state.best >= self.plan.patience:
            state.stopped = state.stopped or "patience"
        parts = found.parts if len(found.parts) > 1 else {}
        return {"val_loss": now} | {f"val_{name}": float(part.double().mean()) for name, part in parts.items()}

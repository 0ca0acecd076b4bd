"""Learning from one portion of rows after another, for ``partial_fit``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from narrows.baselines import compare, simple_errors, squared_errors
from narrows.building import build_model, objective_of
from narrows.errors import TrainingDivergedError
from narrows.networks.work import work_per_row
from narrows.planning import make_plan
from narrows.reconstruction import shown_blocks
from narrows.training.moments import measure
from narrows.training.optimisers import FlatParameters
from narrows.training.rows import plain_rows

if TYPE_CHECKING:
    from narrows.building import Settings
    from narrows.training.rows import Rows

__all__ = ["Incremental"]


class Incremental:
    """A model and its optimiser between two portions.

    Parameters
    ----------
    rows : Rows
        The first portion: it sets the scale and the linear start, but is not trained on yet.
    settings : Settings
        The options.
    """

    def __init__(self, rows: Rows, settings: Settings) -> None:
        moments = measure(plain_rows(rows), allow_missing=settings.missing, names=settings.names)
        self.model, self._start = build_model(rows, moments, moments, settings)
        work = work_per_row(self.model, rows.n_features)
        plan = make_plan(settings.budget, rows.n_rows, rows.n_features, work, evaluated=False, kind=settings.kind)
        # The rate stays constant, so it must be one that a constant rate bears.
        rate = settings.budget.learning_rate or plan.learning_rate / 5
        self.plan = replace(plan, learning_rate=rate, steps=0)
        self._flat = FlatParameters(self.model)
        self._stepper = self.plan.optimizer.stepper(self._flat)
        self._objective = objective_of(self.model, settings)
        self._settings = settings
        self._generator = torch.Generator(settings.device).manual_seed(settings.seed)
        self.few_rows = self._start.hold
        self.n_steps = 0
        self._portions = 0

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_flat"], state["_objective"]
        state["_stepper"] = {name: value.clone() for name, value in self._stepper.state().items()}
        state["_generator"] = self._generator.get_state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Pickling parts the parameters from the one vector that they were views of.
        self._flat = FlatParameters(self.model)
        self._stepper = self.plan.optimizer.stepper(self._flat)
        self._stepper.restore(state["_stepper"])
        self._objective = objective_of(self.model, self._settings)
        self._generator = torch.Generator(self._settings.device)
        self._generator.set_state(state["_generator"])

    def update(self, rows: Rows) -> dict[str, Any]:
        """Take one pass over a portion and return its record."""
        self.model.train()
        total = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._settings.seed + self._portions)
            for batch in rows.batches(self.plan.batch_size, self._settings.seed + self._portions):
                batch = batch.to(self._settings.device)
                loss = self._objective(batch, self._generator).total
                self._flat.take(loss.mean())
                self._stepper.step(self.plan.learning_rate)
                self.n_steps += 1
                total += float(loss.detach().sum())
                if not abs(total) < float("inf"):
                    raise TrainingDivergedError(
                        f"the loss became {total:g} at step {self.n_steps} with learning rate "
                        f"{self.plan.learning_rate:.2g}: set a lower learning_rate, and look for extreme values"
                    )
        self._portions += 1
        self.model.eval()
        factor = self.model.head.unit / rows.n_features
        return {
            "step": self.n_steps,
            "epoch": float(self._portions),
            "loss": total / rows.n_rows * factor,
            "learning_rate": self.plan.learning_rate,
        }

    def compare(self, rows: Rows) -> dict[str, Any]:
        """Hold the model against the mean row and PCA, on the portion it has just seen."""
        standardise = self.model.standardise
        blocks = lambda: shown_blocks(rows, self._settings.corrupt, self._settings.seed)  # noqa: E731
        errors = simple_errors(blocks(), standardise, self._start)
        errors["model"] = squared_errors(blocks(), self.model, standardise.scale64)
        unit = standardise.squared_unit
        told = {name: value if name == "values" else value * unit for name, value in errors.items()}
        return compare(told, held_out=False)

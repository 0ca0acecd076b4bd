"""Learning from one portion of rows after another, for ``partial_fit``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from narrows.data.rows import plain_rows
from narrows.errors import TrainingDivergedError
from narrows.fitting.baselines import compare, simple_errors, squared_errors
from narrows.fitting.build import build_model, objective_of, resolve_auto
from narrows.fitting.defaults import make_plan
from narrows.fitting.elbo import active_components
from narrows.fitting.objectives import corrupted_blocks
from narrows.networks.model import multiplications_per_row
from narrows.training.moments import measure
from narrows.training.optimisers import FlatParameters

if TYPE_CHECKING:
    from narrows.data.rows import Rows
    from narrows.fitting.build import FitConfig

__all__ = ["Incremental"]


class Incremental:
    """A model and its optimiser between two portions.

    Parameters
    ----------
    rows : Rows
        The first portion: it sets the scale and the linear start, but is not trained on yet.
    settings : FitConfig
        The options.
    """

    def __init__(self, rows: Rows, settings: FitConfig) -> None:
        moments = measure(plain_rows(rows), allow_missing=settings.missing, names=settings.names)
        settings = resolve_auto(settings, moments)
        self.moments = moments
        self.model, self._start = build_model(rows, moments, moments, settings)
        work = multiplications_per_row(self.model, rows.n_features)
        plan = make_plan(settings.budget, rows.n_rows, rows.n_features, work, evaluated=False, kind=settings.kind)
        # The rate stays constant, so it must be one that a constant rate bears.
        rate = settings.budget.learning_rate or plan.learning_rate / 5
        self.plan = replace(plan, learning_rate=rate, steps=0)
        self._flat = FlatParameters(self.model)
        self._optimizer = self.plan.optimizer.init_state(self._flat)
        self._objective = objective_of(self.model, settings)
        self.settings = settings
        self._generator = torch.Generator(settings.device).manual_seed(settings.seed)
        self.few_rows = self._start.freeze_linear
        self.n_steps = 0
        self._portions = 0

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_flat"], state["_objective"]
        state["_optimizer"] = {name: value.clone() for name, value in self._optimizer.state().items()}
        state["_generator"] = self._generator.get_state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Pickling parts the parameters from the one vector that they were views of.
        self._flat = FlatParameters(self.model)
        self._optimizer = self.plan.optimizer.init_state(self._flat)
        self._optimizer.restore(state["_optimizer"])
        self._objective = objective_of(self.model, self.settings)
        self._generator = torch.Generator(self.settings.device)
        self._generator.set_state(state["_generator"])

    def update(self, rows: Rows) -> dict[str, Any]:
        """Take one pass over a portion and return its record."""
        self.model.train()
        sums: dict[str, float] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed + self._portions)
            for batch in rows.batches(self.plan.batch_size, self.settings.seed + self._portions):
                found = self._objective(batch.to(self.settings.device), self._generator)
                loss = found.total
                self._flat.backward(loss.mean())
                self._optimizer.step(self.plan.learning_rate)
                self.n_steps += 1
                for name, part in ({"loss": loss} | (found.parts if len(found.parts) > 1 else {})).items():
                    sums[name] = sums.get(name, 0.0) + float(part.detach().sum())
                if not abs(sums["loss"]) < float("inf"):
                    raise TrainingDivergedError(
                        f"the loss became {sums['loss']:g} at step {self.n_steps} with learning rate "
                        f"{self.plan.learning_rate:.2g}: set a lower learning_rate, and look for extreme values"
                    )
        self._portions += 1
        self.model.eval()
        factor = 1.0 if self.settings.kl is not None else self.model.head.unit / rows.n_features
        facts = {}
        if self.settings.kl is not None:
            facts["active_components"] = active_components(self.model, rows)  # type: ignore[arg-type]
        return {
            "step": self.n_steps,
            "epoch": float(self._portions),
            **{name: total / rows.n_rows * factor for name, total in sums.items()},
            "learning_rate": self.plan.learning_rate,
            **facts,
        }

    def compare(self, rows: Rows) -> dict[str, Any]:
        """Hold the model against the mean row and PCA, on the portion it has just seen."""
        standardise = self.model.standardise
        blocks = lambda: corrupted_blocks(rows, self.settings.corrupt, self.settings.seed)  # noqa: E731
        errors = simple_errors(blocks(), standardise, self._start)
        errors["model"] = squared_errors(blocks(), self.model, standardise.scale64)
        unit = standardise.squared_unit
        told = {name: value if name == "values" else value * unit for name, value in errors.items()}
        return compare(told, held_out=False)

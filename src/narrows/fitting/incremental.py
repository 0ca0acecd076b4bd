"""Learning from one portion of rows after another, for ``partial_fit``."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from narrows.data.moments import check_magnitudes, measure
from narrows.data.rows import Rows, plain_rows
from narrows.errors import TrainingDivergedError
from narrows.fitting.build import resolve_auto
from narrows.fitting.fit import linear_init, start_model
from narrows.fitting.objectives import simple_errors
from narrows.fitting.selection import scale_losses, summarise_errors
from narrows.fitting.settings import FitConfig, make_train_config
from narrows.networks.model import EncoderDecoder, multiplications_per_row
from narrows.training.loop import check_batches
from narrows.training.optimisers import FlatParameters


class Incremental:
    """A model and its optimiser between two portions, begun anew or from a fitted model and its scale.

    The first portion sets the scale and the linear start, but is not trained on yet.
    """

    def __init__(self, rows: Rows, config: FitConfig, model: EncoderDecoder | None = None, n_steps: int = 0) -> None:
        self.moments = measure(plain_rows(rows), allow_missing=config.missing, names=config.names)
        check_magnitudes(rows, self.moments, config.names)
        if model is None:
            config = resolve_auto(config, self.moments)
            self.model, self.start = start_model(rows, self.moments, self.moments, config)
            self.model.standardise.missing = config.missing
        else:
            self.model = model
            self.start = linear_init(rows, self.moments, model.standardise, config, freeze_linear=False)
        self.config, self.n_steps, self._portions = config, n_steps, 0
        options, kind = config.training, config.objective.kind(config.network)
        work = multiplications_per_row(self.model, rows.n_features)
        found = make_train_config(options, rows.n_rows, rows.n_features, work, kind=kind, evaluated=False)
        # The rate stays constant, so it must be one that a constant rate bears.
        self.train_config = replace(found, learning_rate=options.learning_rate or found.learning_rate / 5, steps=0)
        self._generator = torch.Generator(config.device).manual_seed(config.seed)
        self._connect()

    def _connect(self) -> None:
        """Make the parameters views of one vector, with a fresh optimiser over it."""
        self._flat = FlatParameters(self.model)
        self._optimizer = self.train_config.optimizer.init_state(self._flat)
        self._loss = partial(self.config.objective.loss, self.model)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_flat"], state["_loss"]
        state["_optimizer"] = {name: value.clone() for name, value in self._optimizer.state().items()}
        state["_generator"] = self._generator.get_state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Pickling parts the parameters from the one vector that they were views of.
        self._connect()
        self._optimizer.restore(state["_optimizer"])
        self._generator = torch.Generator(self.config.device)
        self._generator.set_state(state["_generator"])

    def update(self, rows: Rows) -> dict[str, Any]:
        """Take one pass over a portion and return its record; where that fails, go back to before it."""
        values, generator, n_steps = self._flat.values.clone(), self._generator.get_state(), self.n_steps
        optimizer = {name: value.clone() for name, value in self._optimizer.state().items()}
        try:
            sums = self._pass(rows)
        except BaseException:
            self._flat.values.copy_(values)
            self._optimizer.restore(optimizer)
            self._generator.set_state(generator)
            self.n_steps = n_steps
            raise
        finally:
            self.model.eval()
        self._portions += 1
        objective = self.config.objective
        means = {name: total / rows.n_rows for name, total in sums.items()}
        record = {
            "step": self.n_steps,
            "epoch": float(self._portions),
            **scale_losses(means, objective.unit(self.model)),
            "learning_rate": self.train_config.learning_rate,
            **objective.statistics(self.model, rows),
        }
        return objective.complete(record)

    def _pass(self, rows: Rows) -> dict[str, float]:
        """Train on each row once and return the sums of the losses."""
        seed, config = self.config.seed + self._portions, self.train_config
        least = check_batches(self.model, config.batch_size, rows.n_rows)
        self.model.train()
        sums: dict[str, float] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for batch in rows.batches(config.batch_size, seed):
                if len(batch) < least:
                    continue
                found = self._loss(batch.to(self.config.device), self._generator)
                total = found.total
                self._flat.backward(total.mean())
                self._optimizer.step(config.learning_rate)
                self.n_steps += 1
                for name, part in {"loss": total, **found.several}.items():
                    sums[name] = sums.get(name, 0.0) + float(part.detach().sum())
                if not abs(sums["loss"]) < float("inf"):
                    raise TrainingDivergedError(
                        f"the loss became {sums['loss']:g} at step {self.n_steps} with learning rate "
                        f"{config.learning_rate:.2g}: set a lower learning_rate, and look for extreme values"
                    )
        return sums

    def compare(self, rows: Rows) -> dict[str, Any]:
        """Hold the model against the mean row and PCA, on the portion it has just seen."""
        standardise, objective, seed = self.model.standardise, self.config.objective, self.config.seed
        errors = simple_errors(objective.inputs(rows, seed), standardise, self.start)
        errors["model"] = self.model.squared_errors(objective.inputs(rows, seed))
        unit = standardise.squared_unit
        scaled = {name: value if name == "values" else value * unit for name, value in errors.items()}
        return summarise_errors(scaled, held_out=False)

"""Checkpoints: all that a training needs to go on as if it had not been cut off.

A checkpoint is a safetensors file like a model file: parameters, the optimiser's state, the random state, losses
so far, the best weights, counters. Resumed on the same machine with the same number of threads, the result is
bit-identical to that of a training that was never interrupted (a limit in seconds set aside).
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from narrows.errors import ModelFileError
from narrows.io.container import read_tensors, write_tensors

if TYPE_CHECKING:
    from narrows.training.loop import TrainResult, _Run

__all__ = ["CheckpointFile", "Checkpoints"]

KIND = "narrows checkpoint"
_PLAIN = ("step", "epoch", "batch", "history", "evaluated", "best", "rate_factor", "seconds", "stopped", "sums", "rows")
_VECTORS = ("best_values", "start_values")


class CheckpointFile:
    """One file for all the runs of a fit.

    Parameters
    ----------
    path : path-like
        Where it is.
    every : float
        Seconds between two savings.
    fingerprint : str
        Of the options and the data; a file that bears another is refused.

    Raises
    ------
    ModelFileError
        If there is a file that is no checkpoint, or one of another fit.
    """

    def __init__(self, path: str | Path, every: float, fingerprint: str) -> None:
        self.path = Path(path)
        self.every = every
        self.fingerprint = fingerprint
        self.runs: dict[str, dict[str, Any]] = {}
        self.tensors: dict[str, torch.Tensor] = {}
        if self.path.exists():
            metadata, self.tensors = read_tensors(self.path, KIND)
            if metadata.get("fingerprint") != fingerprint:
                raise ModelFileError(
                    f"{self.path} is the checkpoint of another fit (other options or other data): "
                    "delete it to start anew, or name another file"
                )
            self.runs = metadata["runs"]

    def run(self, name: str) -> Checkpoints:
        """Return the place for one run of the fit."""
        return Checkpoints(self, name)

    def write(self) -> None:
        """Write the file, whole or not at all."""
        metadata = {"fingerprint": self.fingerprint, "runs": self.runs}
        write_tensors(self.path, KIND, json.loads(json.dumps(metadata)), self.tensors)

    def remove(self) -> None:
        """Delete the file once the fit is done."""
        with suppress(FileNotFoundError):
            self.path.unlink()


class Checkpoints:
    """Saves and restores one run within a :class:`CheckpointFile`."""

    def __init__(self, file: CheckpointFile, name: str) -> None:
        self._file = file
        self._name = name
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Say whether it is time to save again."""
        return time.monotonic() - self._saved >= self._file.every

    def save(self, run: _Run) -> None:
        """Write the state of a run."""
        state = run.state
        spent = state.seconds
        state.seconds += time.perf_counter() - run.began
        self._file.runs[self._name] = {name: getattr(state, name) for name in _PLAIN}
        state.seconds = spent
        tensors = {name: getattr(state, name) for name in _VECTORS}
        tensors["values"] = run.flat.values
        tensors |= {f"optimizer.{name}": value for name, value in run.optimizer.state().items()}
        tensors["generator"], tensors["global"] = run.generator.get_state(), torch.get_rng_state()
        if state.held_out:
            tensors["held_out"] = torch.stack(state.held_out)
        prefix = f"{self._name}/"
        kept = {name: value for name, value in self._file.tensors.items() if not name.startswith(prefix)}
        self._file.tensors = kept | {prefix + name: value.detach().cpu().clone() for name, value in tensors.items()}
        self._file.write()
        self._saved = time.monotonic()

    def restore(self, run: _Run) -> None:
        """Bring a run to where the file has it, if the file has it."""
        plain = self._file.runs.get(self._name)
        if plain is None:
            return
        prefix = f"{self._name}/"
        tensors = {name[len(prefix) :]: value for name, value in self._file.tensors.items() if name.startswith(prefix)}
        state: TrainResult = run.state
        for name in _PLAIN:
            setattr(state, name, plain[name])
        device = run.flat.values.device
        for name in _VECTORS:
            setattr(state, name, tensors[name].to(device))
        run.flat.values.copy_(tensors["values"])
        run.optimizer.restore({n[10:]: v for n, v in tensors.items() if n.startswith("optimizer.")})
        run.generator.set_state(tensors["generator"])
        torch.set_rng_state(tensors["global"])
        state.held_out = list(tensors["held_out"]) if "held_out" in tensors else []

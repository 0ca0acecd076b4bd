"""Checkpoints: all that a training needs to go on as if it had not been cut off.

A checkpoint is a safetensors file like a model file. Resumed on the same machine with the same number of threads,
the result is bit-identical to that of a training that was never interrupted (a limit in seconds set aside).
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from narrows.data.rows import Pair, Rows
from narrows.errors import ModelFileError
from narrows.io.container import read_tensors, write_tensors

KIND = "narrows checkpoint"


def fingerprint(facts: Any, rows: Rows) -> str:
    """Return a digest of plain values, such as the options of a fit, and of all rows."""
    digest = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode())
    for block in rows.blocks(1024):
        for part in (block.rows, block.beside) if isinstance(block, Pair) else (block,):
            digest.update(str(part.dtype).encode())
            digest.update(np.ascontiguousarray(part.numpy()).data)
    return digest.hexdigest()


class CheckpointFile:
    """One file for all the trainings of a fit, saved every so many seconds; one with another fingerprint is refused."""

    def __init__(self, path: str | Path, every: float, fingerprint: str) -> None:
        self.path = Path(path)
        self.every = every
        self.fingerprint = fingerprint
        self.runs: dict[str, dict[str, Any]] = {}
        self.tensors: dict[str, Tensor] = {}
        if self.path.exists():
            metadata, self.tensors = read_tensors(self.path, KIND)
            if metadata.get("fingerprint") != fingerprint:
                raise ModelFileError(
                    f"{self.path} is the checkpoint of another fit (other options or other data): "
                    "delete it to start anew, or name another file"
                )
            self.runs = metadata["runs"]

    def run(self, name: str) -> RunCheckpoint:
        """Return the place for one training of the fit."""
        return RunCheckpoint(self, name)

    def write(self) -> None:
        """Write the file, whole or not at all."""
        metadata = {"fingerprint": self.fingerprint, "runs": self.runs}
        write_tensors(self.path, KIND, json.loads(json.dumps(metadata)), self.tensors)

    def remove(self) -> None:
        """Delete the file once the fit is done."""
        with suppress(FileNotFoundError):
            self.path.unlink()


class RunCheckpoint:
    """Saves and gives back the state of one training within a :class:`CheckpointFile`."""

    def __init__(self, file: CheckpointFile, name: str) -> None:
        self._file, self._name = file, name
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Say whether it is time to save again."""
        return time.monotonic() - self._saved >= self._file.every

    def save(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Write plain values and tensors."""
        prefix = f"{self._name}/"
        kept = {name: value for name, value in self._file.tensors.items() if not name.startswith(prefix)}
        self._file.runs[self._name] = state
        self._file.tensors = kept | {prefix + name: value.detach().cpu().clone() for name, value in tensors.items()}
        self._file.write()
        self._saved = time.monotonic()

    def load(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Return what :meth:`save` wrote, if the file has it."""
        if self._name not in self._file.runs:
            return None
        prefix = f"{self._name}/"
        tensors = {n.removeprefix(prefix): value for n, value in self._file.tensors.items() if n.startswith(prefix)}
        return self._file.runs[self._name], tensors

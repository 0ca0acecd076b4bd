"""The model file: a fitted estimator in one file that cannot bite.

The file is a :mod:`narrows.io.container`: options and fitted values as JSON, weights as tensors. Loading rebuilds the
network from its options and fills in the weights; nothing in the file is ever executed.
"""

import math
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

from narrows._version import __version__
from narrows.errors import ModelFileError
from narrows.io.container import read_tensors, to_bytes, write_tensors
from narrows.schema import conform

KIND = "narrows model"
LARGEST = 1e25
"""Squares of larger numbers are not to be had in float32."""

HEADER = ("class", "format", "kind", "narrows")
"""What every file says of itself, whatever its class."""

CLASSES = {
    "AnomalyDetector": "narrows.anomaly",
    "Autoencoder": "narrows.autoencoder",
    "Codec": "narrows.codec",
    "Recommender": "narrows.recommend",
    "VariationalAutoencoder": "narrows.variational",
}
"""Where the class of each name in a file is found."""

UNSAVED_OPTIONS = ("callbacks", "checkpoint", "checkpoint_seconds", "device", "verbose")
"""What concerns the process that fits: never written to a file, never taken from one."""


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a file, whole or not at all; see ``Autoencoder.save``."""
    write_tensors(Path(path), KIND, *_content(estimator))


def file_size(estimator: Any) -> int:
    """Return how many bytes the file of a fitted estimator takes."""
    return len(to_bytes(KIND, *_content(estimator)))


def _content(estimator: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    metadata, tensors = estimator._to_file()
    return {"class": type(estimator).__name__, "narrows": __version__, **metadata}, tensors


def load(path: str | os.PathLike[str], *, network: Any = None, device: str = "auto") -> Any:
    """Load a model that ``save`` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    network : Network or pair of torch modules, optional
        For a model fitted with modules of your own: their code is not in the file, so hand them in again.
    device : str, default "auto"
        Where to compute: "auto", "cpu", "cuda", ...

    Returns
    -------
    estimator
        Fitted, of the class that was saved.

    Raises
    ------
    DataError
        If there is no such file.
    ModelFileError
        If it is damaged, truncated, foreign, newer than this version, or needs ``network``.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, narrows
    >>> X = narrows.datasets.make_manifold(300, 8, n_latent=2, random_state=0)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.narrows"
    >>> fitted = narrows.Autoencoder(2, random_state=0).fit(X)
    >>> fitted.save(path)
    >>> bool(np.array_equal(narrows.load(path).transform(X), fitted.transform(X)))
    True
    """
    cls, metadata, tensors = _read(Path(path))
    try:
        return cls._from_file(metadata, tensors, network=network, device=device)
    except (LookupError, TypeError, AttributeError, ValueError, RuntimeError, ArithmeticError, AssertionError) as error:
        raise ModelFileError(f"{os.fspath(path)} cannot be made into a model: {error}") from error


def _read(path: Path) -> tuple[Any, dict[str, Any], dict[str, Tensor]]:
    """Return the class of a model, and what its file holds, in the form that this class gives it."""
    metadata, tensors = read_tensors(path, KIND)
    name = metadata.get("class")
    if not isinstance(name, str) or name not in CLASSES:
        raise ModelFileError(f"{path} holds a {name!r}, which this version of narrows does not know: upgrade narrows")
    cls = getattr(import_module(CLASSES[name]), name)
    own = {key: value for key, value in metadata.items() if key not in HEADER}
    try:
        conform(metadata.get("narrows"), str, "the version")
        conform(own, getattr(cls, "_metadata", dict[str, Any]), "the description")
        _check_numbers(tensors)
    except ModelFileError as error:
        raise ModelFileError(f"{path} is damaged: {error}") from None
    return cls, metadata, tensors


def _check_numbers(tensors: dict[str, Tensor]) -> None:
    """Refuse numbers that no fit gives; only bounds, called low and high, may be infinite."""
    for name, tensor in tensors.items():
        if not (tensor.is_floating_point() and tensor.numel()):
            continue
        largest = max(abs(float(end)) for end in tensor.aminmax())
        endless = largest == math.inf and name.endswith((".low", ".high"))
        # NaN is not below anything.
        if not (largest <= LARGEST or endless):
            raise ModelFileError(f"the tensor {name!r} holds what is no number, or one beyond all bounds")


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a model file says of itself, without building the model.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    dict
        Class, version, options, fitted scalars, feature names, history and baselines.

    Raises
    ------
    DataError, ModelFileError
        As :func:`load`.
    """
    _, metadata, tensors = _read(Path(path))
    return metadata | {
        # The scale is none, nor is what stands beside the network, under a name with a stroke.
        "n_parameters": sum(t.numel() for name, t in tensors.items() if "64" not in name and "/" not in name)
    }

"""narrows: autoencoders for people with data, each held against the simple answer.

Public names are imported when they are first used, so that ``import narrows`` loads neither torch nor scikit-learn.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from narrows._version import __version__

if TYPE_CHECKING:
    from narrows import (
        anomaly,
        codec,
        comparison,
        corruption,
        data,
        datasets,
        likelihoods,
        metrics,
        networks,
        priors,
        recommend,
        report,
    )
    from narrows.anomaly import AnomalyDetector, Windows, windows
    from narrows.autoencoder import Autoencoder
    from narrows.codec import Codec
    from narrows.comparison import Comparison, compare
    from narrows.errors import (
        CodecFileError,
        ColumnsLeftOutWarning,
        DataError,
        DownloadError,
        ModelFileError,
        NarrowsError,
        NotBetterThanBaselineWarning,
        PosteriorCollapseWarning,
        TrainingDivergedError,
        UnlikeTrainingDataWarning,
    )
    from narrows.estimator.serialization import describe, load
    from narrows.recommend import Recommender
    from narrows.variational import VariationalAutoencoder

# Threads of torch's OpenMP spin while they wait for work. On a core that has other work too, that makes a fit ten
# times slower and more; after a thousand turns they now sleep, which costs a quiet machine little. It must be set
# before torch is loaded, and what the user has set is left alone.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__all__ = [
    "AnomalyDetector",
    "Autoencoder",
    "Codec",
    "CodecFileError",
    "ColumnsLeftOutWarning",
    "Comparison",
    "DataError",
    "DownloadError",
    "ModelFileError",
    "NarrowsError",
    "NotBetterThanBaselineWarning",
    "PosteriorCollapseWarning",
    "Recommender",
    "TrainingDivergedError",
    "UnlikeTrainingDataWarning",
    "VariationalAutoencoder",
    "Windows",
    "__version__",
    "anomaly",
    "codec",
    "compare",
    "comparison",
    "corruption",
    "data",
    "datasets",
    "describe",
    "likelihoods",
    "load",
    "metrics",
    "networks",
    "priors",
    "recommend",
    "report",
    "windows",
]

_HOMES = {
    "AnomalyDetector": "narrows.anomaly",
    "Autoencoder": "narrows.autoencoder",
    "Codec": "narrows.codec",
    "CodecFileError": "narrows.errors",
    "ColumnsLeftOutWarning": "narrows.errors",
    "Comparison": "narrows.comparison",
    "DataError": "narrows.errors",
    "DownloadError": "narrows.errors",
    "ModelFileError": "narrows.errors",
    "NarrowsError": "narrows.errors",
    "NotBetterThanBaselineWarning": "narrows.errors",
    "PosteriorCollapseWarning": "narrows.errors",
    "Recommender": "narrows.recommend",
    "TrainingDivergedError": "narrows.errors",
    "UnlikeTrainingDataWarning": "narrows.errors",
    "VariationalAutoencoder": "narrows.variational",
    "Windows": "narrows.anomaly",
    "compare": "narrows.comparison",
    "describe": "narrows.estimator.serialization",
    "load": "narrows.estimator.serialization",
    "windows": "narrows.anomaly",
}
_MODULES = {
    "anomaly",
    "codec",
    "comparison",
    "corruption",
    "data",
    "datasets",
    "likelihoods",
    "metrics",
    "networks",
    "priors",
    "recommend",
    "report",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"narrows.{name}")
    raise AttributeError(f"module 'narrows' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

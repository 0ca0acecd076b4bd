"""PCA against autoencoder, and whether it was worth it."""

from __future__ import annotations

from narrows.comparison.result import Comparison, Measured
from narrows.comparison.running import compare

__all__ = ["Comparison", "Measured", "compare"]

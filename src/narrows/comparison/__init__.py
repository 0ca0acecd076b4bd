"""PCA against autoencoder: was it worth it?"""

from __future__ import annotations

from narrows.comparison.running import compare
from narrows.comparison.result import Comparison, Measured

__all__ = ["Comparison", "Measured", "compare"]

"""PCA against autoencoder on the same held-out rows, and whether the autoencoder was worth it."""

from narrows.comparison.comparison import Comparison
from narrows.comparison.measure import MethodResult
from narrows.comparison.page import plot_comparison
from narrows.comparison.run import compare

__all__ = ["Comparison", "MethodResult", "compare", "plot_comparison"]

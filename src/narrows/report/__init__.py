"""Plots and the HTML report: pictures of what a model does, and one file to hand on.

The plot functions take plain arrays or a fitted estimator and return a :class:`matplotlib.figure.Figure`. They need
matplotlib (``pip install "narrows[plots]"``) but neither pyplot nor a display, and change no global setting. What
cannot be drawn is refused by a :class:`narrows.DataError`.
"""

from narrows.report.anomaly_plots import plot_anomaly_scores, plot_explanation
from narrows.report.generation import plot_interpolation, plot_manifold, plot_samples
from narrows.report.html import Section, Table, render_report, write_report
from narrows.report.images import plot_denoised_picture, plot_denoising, plot_reconstructions
from narrows.report.maps import plot_code_map
from narrows.report.plots import plot_errors, plot_history, plot_losses, plot_rates
from narrows.report.recommend_plots import plot_bars, plot_item_map
from narrows.report.responses import plot_loadings, plot_responses
from narrows.report.series import plot_series
from narrows.report.theme import require_matplotlib

__all__ = [
    "Section",
    "Table",
    "plot_anomaly_scores",
    "plot_bars",
    "plot_code_map",
    "plot_denoised_picture",
    "plot_denoising",
    "plot_errors",
    "plot_explanation",
    "plot_history",
    "plot_interpolation",
    "plot_item_map",
    "plot_loadings",
    "plot_losses",
    "plot_manifold",
    "plot_rates",
    "plot_reconstructions",
    "plot_responses",
    "plot_samples",
    "plot_series",
    "render_report",
    "require_matplotlib",
    "write_report",
]

"""Colours of plots and pages, light and dark, and the one place that knows whether matplotlib is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from narrows.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DARK", "LIGHT", "Theme", "diverging", "named", "new_figure", "require_matplotlib", "style_axes", "theme_of"]


@dataclass(frozen=True)
class Theme:
    """One set of colours."""

    paper: str
    ink: str
    faint: str
    line: str
    series: tuple[str, ...]  # of different lightness, so that they differ in grey and for colour-blind readers too
    classes: tuple[str, ...]
    images: str  # the colour map of grey images: ink on paper


# The series are Okabe and Ito's colours, the classes Paul Tol's muted ones; in the dark they are lightened.
LIGHT = Theme(
    paper="#ffffff",
    ink="#1b1d21",
    faint="#5c626b",
    line="#d9dce1",
    series=("#0072b2", "#d55e00", "#009e73", "#a8508a", "#6b6f76"),
    classes=(
        "#cc6677",
        "#332288",
        "#c9b545",
        "#117733",
        "#5fb3dd",
        "#882255",
        "#44aa99",
        "#84842a",
        "#aa4499",
        "#84888f",
    ),
    images="gray_r",
)
DARK = Theme(
    paper="#15171b",
    ink="#e8eaed",
    faint="#a3a9b3",
    line="#3a3f47",
    series=("#56b4e9", "#f0a35e", "#3fcf9f", "#e39bc5", "#a3a9b3"),
    classes=(
        "#e58a97",
        "#9388f5",
        "#e6d98a",
        "#3db86b",
        "#88ccee",
        "#d6508f",
        "#44c2ae",
        "#bdbd4a",
        "#d084d0",
        "#b8bcc4",
    ),
    images="gray",
)


def theme_of(name: str) -> Theme:
    """Return the theme of this name, "light" or "dark"."""
    themes = {"light": LIGHT, "dark": DARK}
    if name not in themes:
        raise DataError(f"theme must be 'light' or 'dark', not {name!r}.")
    return themes[name]


def named(given: Any, default: str = "") -> dict[str, Any]:
    """Return what may be a dictionary as one; nothing at all is refused."""
    found = dict(given) if isinstance(given, dict) else {default: given}
    if not found:
        raise DataError("There is nothing to draw.")
    return found


def diverging(theme: Theme) -> Any:
    """Return colours for values of both signs: the page's own at zero, and two that colour-blind readers tell apart."""
    from matplotlib.colors import LinearSegmentedColormap

    ends = (theme.series[1], theme.paper, theme.series[0])
    return LinearSegmentedColormap.from_list("diverging", ends)


def require_matplotlib() -> None:
    """Refuse to draw without matplotlib, and say how to install it."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise DataError('Plots need matplotlib, which is not installed: pip install "narrows[plots]".') from error


def new_figure(width: float, height: float, theme: Theme) -> Figure:
    """Make an empty figure of this size in inches, without pyplot and its global state."""
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor=theme.paper, layout="constrained")


def style_axes(axes: Any, theme: Theme, *, title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Give axes the theme's colours and plain text, which is never read as mathematics."""
    axes.set_facecolor(theme.paper)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.line)
    axes.tick_params(which="both", colors=theme.faint, labelsize=9)
    axes.set_title(title, color=theme.ink, fontsize=11, loc="left", parse_math=False)
    axes.set_xlabel(xlabel, color=theme.faint, fontsize=9.5, parse_math=False)
    axes.set_ylabel(ylabel, color=theme.faint, fontsize=9.5, parse_math=False)

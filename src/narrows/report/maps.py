"""Maps: codes as points in the plane."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.data.rows import sample_numbers
from narrows.errors import DataError
from narrows.report.theme import DARK, Theme, named, new_figure, style_axes, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["frame_points", "plot_code_map"]

FEW_POINTS = 30
MOST_EMBEDDED = 5000
MAX_NAMED = 30
"""More classes than this are not labelled one by one."""


def plot_code_map(
    codes: Any,
    labels: Any = None,
    *,
    model: Any = None,
    method: str = "pca",
    max_points: int | None = None,
    theme: str = "light",
) -> Figure:
    """Draw codes as points in the plane, each class labelled where the middle of its points lies.

    Codes of more than two numbers are brought to two, and the axes say how. By PCA, with the fraction of their variance
    that two numbers hold: points that lie apart are apart, points that lie together may not be. By t-SNE (van der
    Maaten and Hinton 2008), which keeps neighbours together: distances and sizes of clusters mean nothing.

    Parameters
    ----------
    codes : array of shape (n, n_components), or dict of these
        The codes; a dictionary has one map for each key. With ``model``, the rows that it encodes.
    labels : array of shape (n,), optional
        The class of each point; or, as floats of more than 30 different values, a number that becomes its colour.
    model : fitted transformer, optional
        Turns ``codes``, which then are rows of data, into codes.
    method : {"pca", "tsne"}, default "pca"
        How codes of more than two numbers are brought to two.
    max_points : int, optional
        Draw at most so many points, chosen at random: by default all, and 5,000 for t-SNE, which takes a minute for
        them.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes for each map.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from narrows.report import plot_code_map
    >>> X, y = load_digits(return_X_y=True)
    >>> figure = plot_code_map(X, y, model=PCA(8).fit(X))
    >>> figure.axes[0].get_xlabel()
    'PC 1 of the codes (22% of their variance)'
    """
    colours = theme_of(theme)
    maps = named(codes)
    figure = new_figure(3.5 * len(maps), 3.8, colours) if len(maps) > 1 else new_figure(6.2, 5.8, colours)
    panels = figure.subplots(1, len(maps), squeeze=False)[0]
    for axes, (title, given) in zip(panels, maps.items(), strict=True):
        found = np.asarray(given if model is None else model.transform(given))
        classes = None if labels is None else np.asarray(labels)
        if classes is not None and classes.shape != found.shape[:1]:
            raise DataError(f"There are {len(found)} codes but labels of shape {classes.shape}.")
        found, classes = _some(found, classes, max_points or (MOST_EMBEDDED if method == "tsne" else None))
        points, names = _in_plane(found, method)
        style_axes(axes, colours, title=title, xlabel=names[0], ylabel=names[1])
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
        frame_points(axes, points)
        _draw(axes, points, classes, colours)
    return figure


def _some(codes: np.ndarray, classes: np.ndarray | None, most: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    if most is None or len(codes) <= most:
        return codes, classes
    chosen = sample_numbers(len(codes), most, seed=0)
    return codes[chosen], None if classes is None else classes[chosen]


def _in_plane(codes: np.ndarray, method: str = "pca") -> tuple[np.ndarray, tuple[str, str]]:
    """Return two numbers a code, and what they are."""
    if method not in ("pca", "tsne"):
        raise DataError(f"method must be 'pca' or 'tsne', not {method!r}.")
    if codes.ndim != 2 or not codes.size:
        raise DataError(f"Codes must be a table of at least one row and column, not of shape {codes.shape}.")
    codes = codes.astype(np.float64)
    if not np.isfinite(codes).all():
        raise DataError("Codes must be finite numbers.")
    if codes.shape[1] == 1:
        heights = np.random.default_rng(0).uniform(size=(len(codes), 1))
        return np.hstack([codes, heights]), ("code unit 1", "spread at random")
    if codes.shape[1] == 2:
        return codes, ("code unit 1", "code unit 2")
    if method == "tsne" and len(codes) > 3:
        return _embedded(codes)
    centred = codes - codes.mean(0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    variances, directions = variances[::-1][:2].clip(0), directions[:, ::-1][:, :2]
    # An eigenvector may point either way: its largest entry is taken as positive.
    signs = np.sign(directions[np.abs(directions).argmax(0), [0, 1]])
    fractions = variances / max(float(np.square(centred).sum()), 1e-300)
    first, second = (
        f"PC {number + 1} of the codes ({fraction:.0%} of their variance)" for number, fraction in enumerate(fractions)
    )
    return centred @ (directions * signs), (first, second)


def _embedded(codes: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    """Bring codes to the plane by t-SNE."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(codes) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(codes)
    return points, (f"t-SNE of {len(codes):,} codes of {codes.shape[1]} numbers", "only neighbourhoods mean something")


def frame_points(axes: Any, points: np.ndarray) -> None:
    """Give axes room around points."""
    low, high = points.min(0), points.max(0)
    width = np.where(high > low, high - low, np.where(high != 0, np.abs(high), 1.0))
    (left, bottom), (right, top) = low - 0.07 * width, high + 0.07 * width
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _draw(axes: Any, points: np.ndarray, classes: np.ndarray | None, colours: Theme) -> None:
    # Shuffled, so that a class that comes last does not cover the others.
    order = np.random.default_rng(0).permutation(len(points))
    size = float(np.clip(20_000 / len(points), 1.5, 36))
    alpha = 0.9 if len(points) <= 500 else 0.65 if len(points) <= 10_000 else 0.4
    style = {"s": size, "alpha": alpha, "linewidths": 0, "rasterized": True}
    x, y = points[order].T
    if classes is None:
        axes.scatter(x, y, color=colours.series[0], **style)
        return
    values, which = np.unique(classes, return_inverse=True)
    if len(values) > MAX_NAMED:
        if classes.dtype.kind not in "fiub":
            raise DataError(f"There are {len(values)} classes, too many to label on a map.")
        drawn = axes.scatter(x, y, c=classes[order], cmap=_shades(colours), **style)
        bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.8)
        bar.ax.tick_params(colors=colours.faint, labelsize=9)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1)
        return
    palette = np.array([colours.classes[number % len(colours.classes)] for number in range(len(values))])
    axes.scatter(x, y, c=palette[which[order]], **style)
    middles = np.array([np.median(points[which == number], axis=0) for number in range(len(values))])
    if len(points) <= FEW_POINTS:
        # A label would hide its points: it stands beside them, on the side of the middle.
        bottom, top = axes.get_ylim()
        middles[:, 1] += 0.06 * (top - bottom) * np.where(middles[:, 1] > (bottom + top) / 2, -1, 1)
    _label(axes, middles, [str(value) for value in values], palette, colours)


def _shades(colours: Theme) -> Any:
    """Return the colours for numbers, without those too close to the paper's."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    low, high = (0.3, 1.0) if colours is DARK else (0.0, 0.85)
    return ListedColormap(colormaps["cividis"](np.linspace(low, high, 256)))


def _label(axes: Any, middles: np.ndarray, texts: list[str], palette: np.ndarray, colours: Theme) -> None:
    """Write each label at the middle of its class, moved apart where two would overlap."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    places = (middles - (left, bottom)) / (right - left, top - bottom)
    across, up = axes.figure.get_size_inches() / (len(axes.figure.axes), 1)
    widths = np.array([0.14 + 0.1 * len(text) for text in texts]) / across
    moved = _apart(places, widths, height=0.25 / up)
    for place, target, text, colour in zip(moved, places, texts, palette, strict=True):
        if np.abs(place - target).max() > 0.02:
            axes.plot(*zip(place, target, strict=True), color=colours.ink, lw=0.8, transform=axes.transAxes)
        box = {"boxstyle": "round,pad=0.22", "facecolor": colours.paper, "edgecolor": colour, "lw": 1.6}
        style = {"ha": "center", "va": "center", "fontsize": 10, "fontweight": "bold", "color": colours.ink}
        axes.text(*place, text, transform=axes.transAxes, bbox=box, parse_math=False, zorder=5, **style)


def _apart(places: np.ndarray, widths: np.ndarray, *, height: float) -> np.ndarray:
    """Push boxes apart, a little at a time, until none overlap."""
    places = places.copy()
    for _ in range(100):
        still = True
        for one, other in combinations(range(len(places)), 2):
            away = places[other] - places[one]
            lack = np.array([(widths[one] + widths[other]) / 2, height]) - np.abs(away)
            if (lack > 0).all():
                still = False
                axis = int(lack.argmin())
                push = 0.5 * lack[axis] * (1.0 if away[axis] >= 0 else -1.0)
                places[one, axis] -= push
                places[other, axis] += push
        places = places.clip(0.03, 0.97)
        if still:
            break
    return places

"""Pictures of what a generative model makes: samples, all that two numbers can draw, and ways between rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.errors import DataError
from narrows.report.images import as_images, draw_image_rows, image_grid, label_row, show_image, value_range
from narrows.report.theme import named, new_figure, style_axes, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_interpolation", "plot_manifold", "plot_samples"]


def plot_samples(
    samples: Any,
    *,
    n_images: int = 64,
    rows: bool = False,
    image_shape: Sequence[int] | None = None,
    random_state: int = 0,
    theme: str = "light",
) -> Figure:
    """Show sampled images, all on one scale.

    Parameters
    ----------
    samples : array of images, fitted model, or dict of these
        The images, as rows of a table or as an array of images, or what draws them (``sample``). A dictionary has a
        square of images for each key, such as a prior.
    n_images : int, default 64
        How many to show of each at most.
    rows : bool, default False
        Whether each key has a row of images instead, such as those of one label.
    image_shape : tuple of int, optional
        Height and width, and channels; by default those of the array, of the model, or a square.
    random_state : int, default 0
        Of the draws, where a model makes them.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes for each key.

    Examples
    --------
    >>> import narrows
    >>> from sklearn.datasets import load_digits
    >>> images, labels = load_digits().images[:600], load_digits().target[:600]
    >>> model = narrows.VariationalAutoencoder(4, max_epochs=2, random_state=0).fit(images, labels)
    >>> figure = narrows.report.plot_samples({"real": images, "sampled": model}, n_images=25)
    >>> len(figure.axes)
    2
    >>> by_label = {str(label): model.sample(8, y=label, random_state=0) for label in model.classes_}
    >>> len(narrows.report.plot_samples(by_label, rows=True).axes)
    10
    """
    colours = theme_of(theme)
    if n_images < 1:
        raise DataError(f"n_images must be at least 1, not {n_images}.")
    found = {}
    for name, given in named(samples).items():
        drawn = given.sample(n_images, random_state=random_state) if hasattr(given, "sample") else given
        found[str(name)] = as_images(np.asarray(drawn)[:n_images], image_shape, given)
    forms = {images.shape[1:] for images in found.values()}
    if len(forms) > 1:
        raise DataError("Images of several shapes cannot be shown side by side.")
    span = value_range(*found.values())
    if rows:
        return draw_image_rows(found, span, theme)
    [form] = forms
    figure = new_figure(4.9 * len(found), 4.9 * form[0] / form[1] + 0.35 * any(found), colours)
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (name, images) in zip(panels, found.items(), strict=True):
        show_image(axes, image_grid(images, span, math.ceil(math.sqrt(len(images)))), colours)
        axes.set_title(name, color=colours.ink, fontsize=11, loc="left", parse_math=False)
    return figure


def plot_manifold(
    model: Any,
    *,
    n: int = 20,
    y: Any = None,
    image_shape: Sequence[int] | None = None,
    theme: str = "light",
) -> Figure:
    """Show all that a decoder makes of codes of two numbers: a grid with as many drawn from the prior in each cell.

    The numbers of the codes are quantiles of the standard normal distribution, ``(i + 1/2) / n`` for each i below n
    (Kingma and Welling 2014, appendix A), so the grid shows images as often as sampling does.

    Parameters
    ----------
    model : fitted estimator
        With ``inverse_transform`` and a code of two numbers.
    n : int, default 20
        Images along each side.
    y : label, optional
        For a decoder that is told of labels.
    image_shape : tuple of int, optional
        Height and width, and channels; by default those of the model, or a square.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With one axes; the first number of the code goes to the right, the second one up.

    Examples
    --------
    >>> import narrows
    >>> from sklearn.datasets import load_digits
    >>> model = narrows.VariationalAutoencoder(2, max_epochs=2, random_state=0).fit(load_digits().images[:600])
    >>> figure = narrows.report.plot_manifold(model, n=10)
    >>> figure.axes[0].get_xlabel()
    'code number 1'
    """
    from scipy.special import ndtri

    colours = theme_of(theme)
    size = getattr(model, "n_components_", None)
    if size != 2:
        raise DataError(f"All that a decoder makes fits on a page for a code of two numbers, not of {size}.")
    if n < 2:
        raise DataError(f"n must be at least 2, not {n}.")
    steps = ndtri((np.arange(n) + 0.5) / n)
    across, up = np.meshgrid(steps, steps[::-1])
    codes = np.stack([across.ravel(), up.ravel()], 1)
    images = as_images(model.inverse_transform(codes, **({} if y is None else {"y": y})), image_shape, model)
    height, width = images.shape[1:3]
    figure = new_figure(7.6, 0.3 + 7.2 * height / width, colours)
    axes = figure.subplots()
    style_axes(axes, colours, xlabel="code number 1", ylabel="code number 2")
    show_image(axes, image_grid(images, value_range(images), n, gap=1), colours)
    # As many marks as lie the same on both sides of the middle.
    marks = np.unique(np.linspace(0, n - 1, 5 if n % 2 else 4).round().astype(int))
    texts = [f"{steps[mark]:.1f}" for mark in marks]
    axes.set_xticks((marks + 0.5) * (width + 1) - 1, texts)
    axes.set_yticks((n - marks - 0.5) * (height + 1) - 1, texts)
    return figure


def plot_interpolation(
    model: Any,
    a: Any,
    b: Any,
    *,
    steps: int = 9,
    methods: Sequence[str] = ("linear", "spherical"),
    image_shape: Sequence[int] | None = None,
    theme: str = "light",
) -> Figure:
    """Show images decoded on the way from the code of one image to that of another.

    Parameters
    ----------
    model : fitted VariationalAutoencoder
        What interpolates.
    a, b : one image, or array of images
        The ends; of several, first goes to first, second to second.
    steps : int, default 9
        Images on the way, both ends included.
    methods : sequence of {"linear", "spherical"}, default ("linear", "spherical")
        A row for each, as :meth:`narrows.VariationalAutoencoder.interpolate` has them.
    image_shape : tuple of int, optional
        Height and width, and channels; by default those of the model, or a square.
    theme : {"light", "dark"}, default "light"
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        With three axes for each row: the image it starts from, the way, and the image it leads to.

    Examples
    --------
    >>> import narrows
    >>> from sklearn.datasets import load_digits
    >>> images = load_digits().images[:600]
    >>> model = narrows.VariationalAutoencoder(4, max_epochs=2, random_state=0).fit(images)
    >>> figure = narrows.report.plot_interpolation(model, images[:2], images[2:4])
    >>> len(figure.axes)
    12
    """
    colours = theme_of(theme)
    if not methods:
        raise DataError("There is no method to show.")
    firsts, lasts = (_several(np.asarray(end), getattr(model, "n_features_in_", 0)) for end in (a, b))
    if firsts.shape != lasts.shape or firsts.ndim < 2 or not len(firsts):
        raise DataError(f"The ends have shapes {np.shape(a)} and {np.shape(b)}: as many images are needed of both.")
    ends = [as_images(end, image_shape, model) for end in (firsts, lasts)]
    span = value_range(*ends)
    form = ends[0].shape[1:]
    count = len(firsts) * len(methods)
    cell = 0.72
    height = cell * form[0] / form[1] + 0.08
    figure = new_figure(1.1 + cell * (steps + 2.9), 0.4 + height * count, colours)
    # The ends stand apart from what is decoded between them.
    figure.get_layout_engine().set(wspace=0.08)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(count, 3, squeeze=False, gridspec_kw={"width_ratios": (1, steps + (steps - 1) / 8, 1)})
    for number, panels in enumerate(grid):
        pair, method = number // len(methods), methods[number % len(methods)]
        way = np.asarray(model.interpolate(firsts[pair], lasts[pair], steps, method=method)).reshape(-1, *form)
        for axes, images in zip(panels, (ends[0][pair : pair + 1], way, ends[1][pair : pair + 1]), strict=True):
            show_image(axes, image_grid(images, span), colours)
        label_row(panels[0], method, colours)
    for axes, title in zip(grid[0], ("from", "decoded on the way", "to"), strict=True):
        axes.set_title(title, color=colours.faint, fontsize=9)
    return figure


def _several(images: np.ndarray, n_features: int) -> np.ndarray:
    """Return an array of images, also of one image alone."""
    alone = images.size == n_features and not (images.ndim > 1 and len(images) == 1)
    return images[None] if alone else images

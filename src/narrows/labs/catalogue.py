"""All labs by name, and the way to run one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from narrows.errors import DataError
from narrows.labs.anomalies import AnomaliesLab
from narrows.labs.digits import DigitsLab, MnistLab
from narrows.labs.movies import MoviesLab
from narrows.labs.vae import VaeLab

if TYPE_CHECKING:
    from narrows.labs.engine import Lab, LabResult, Progress

__all__ = ["LABS", "run_lab"]

LABS: dict[str, type[Lab]] = {lab.name: lab for lab in (DigitsLab, MnistLab, VaeLab, AnomaliesLab, MoviesLab)}


def run_lab(
    name: str,
    *,
    seed: int = 0,
    progress: Progress = lambda stage, detail: None,  # noqa: ARG005
    **options: Any,
) -> LabResult:
    """Run a lab.

    Parameters
    ----------
    name : {"digits", "mnist", "vae", "anomalies", "movies"}
        Which. "mnist" takes minutes, the others up to two.
    seed : int, default 0
        Fixes everything random: a second run gives the same numbers, apart from times.
    progress : callable, optional
        Receives what is being done: a stage, and how far it is (may be empty).
    **options
        ``n_components`` of digits, mnist and vae; ``data`` of vae ("digits" or "mnist") and movies ("movielens-small"
        or "made-up"); ``digits`` of anomalies, those to hold out; ``user``, ``method`` and ``n_splits`` of movies;
        ``max_epochs`` of all, for a quick look.

    Returns
    -------
    LabResult
        Numbers, sentences about them (``conclusions``), and what the page shows.

    Raises
    ------
    DataError
        If there is no such lab, or an option does not fit it.

    Examples
    --------
    >>> from narrows.labs import run_lab
    >>> result = run_lab("digits")
    >>> result["narrows"]["test_mse"] < result["pca"]["test_mse"] < result["mean"]["test_mse"]
    True
    """
    if name not in LABS:
        raise DataError(f"There is no lab {name!r}; there are {', '.join(LABS)}.")
    return LABS[name](seed, progress).run(**options)

"""The ways of scoring rows that the lab on anomalies holds against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.anomaly import AnomalyDetector
from narrows.autoencoder import Autoencoder
from narrows.labs.anomalies_results import RATES, Method
from narrows.labs.fits import fit_quietly
from narrows.likelihoods import Gaussian
from narrows.networks import Dense
from narrows.training.optimisers import Adam

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FITS", "Fitted", "Recipe", "methods"]

NEIGHBORS = 5


@dataclass(frozen=True)
class Recipe:
    """The sizes of the lab on one data set.

    Attributes
    ----------
    n_components, hidden : int
        Of the network as taught; PCA has as many numbers.
    epochs : int
        Passes of the network as taught.
    white : float or None, default None
        What pixels are divided by; None standardises the columns.
    names : tuple of str or None, default None
        Of the columns.
    """

    n_components: int
    hidden: int
    epochs: int
    white: float | None = None
    names: tuple[str, ...] | None = None

    def framed(self, rows: np.ndarray) -> Any:
        """Return rows as a frame where their columns have names."""
        if self.names is None:
            return rows
        import pandas as pd

        return pd.DataFrame(rows, columns=list(self.names))


@dataclass(frozen=True)
class Fitted:
    """A method, fitted.

    Attributes
    ----------
    scores : callable
        Rows to their scores, higher being stranger.
    above : callable
        Rows to truth values, shape (len(RATES), n): whether each is above the threshold that is to let so many ordinary
        rows pass.
    blamed : callable or None
        Rows to the numbers of the columns that are most to blame.
    detector : AnomalyDetector or None
        Of narrows.
    """

    scores: Callable[[np.ndarray], np.ndarray]
    above: Callable[[np.ndarray], np.ndarray]
    blamed: Callable[[np.ndarray], np.ndarray] | None = None
    detector: AnomalyDetector | None = None


def methods(recipes: dict[str, Recipe]) -> tuple[Method, ...]:
    """Return what the methods are called, and what they are."""
    sizes = " and ".join(f"{recipe.n_components} for {data}" for data, recipe in recipes.items())
    return (
        Method(
            "taught",
            "as taught",
            "the squared error of an autoencoder as first courses have it: one hidden layer of ReLU units there and "
            f"back, a ReLU code of so many numbers: {sizes}; Adam at 0.001, batches of 32",
        ),
        Method("pca", "PCA", "the squared error of PCA with as many numbers, of the same values"),
        Method("neighbors", "neighbours", f"the distance to the nearest row but {NEIGHBORS - 1}, columns standardised"),
        Method("forest", "isolation forest", "scikit-learn's, with its defaults"),
        Method("narrows", "narrows", "AnomalyDetector with its defaults"),
    )


def _by_quantiles(
    scores: Callable[[np.ndarray], np.ndarray],
    of_fit: np.ndarray,
    blamed: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Fitted:
    """Return a method with the usual thresholds: quantiles of the scores of the rows of the fit."""
    thresholds = np.quantile(of_fit, [1 - rate for rate in RATES])
    return Fitted(scores, lambda given: scores(given) > thresholds[:, None], blamed)


def _prepared(rows: np.ndarray, recipe: Recipe) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.preprocessing import StandardScaler

    if recipe.white is not None:
        white = recipe.white
        return lambda given: (given / white).astype(np.float32)
    scaler = StandardScaler().fit(rows)
    return lambda given: scaler.transform(given).astype(np.float32)


def _by_error(rows: np.ndarray, prepare: Callable[[np.ndarray], np.ndarray], rebuild: Any) -> Fitted:
    """Return the method that scores by squared errors, and blames the column with the largest one."""

    def errors(given: np.ndarray) -> np.ndarray:
        values = prepare(given)
        return np.square(rebuild(values).astype(np.float64) - values)

    def scores(given: np.ndarray) -> np.ndarray:
        return errors(given).mean(1)

    return _by_quantiles(scores, scores(rows), lambda given: errors(given).argmax(1))


def _taught(rows: np.ndarray, recipe: Recipe, seed: int) -> Fitted:
    prepare = _prepared(rows, recipe)
    network = Dense(
        (recipe.hidden,),
        activation="relu",
        code_activation="relu",
        output_activation="identity" if recipe.white is None else "sigmoid",
        linear_path=False,
        init="glorot",
    )
    model = Autoencoder(
        recipe.n_components,
        network=network,
        likelihood=Gaussian(bounds="none"),
        scaling="none",
        optimizer=Adam(eps=1e-7),
        schedule="constant",
        learning_rate=1e-3,
        batch_size=32,
        max_epochs=recipe.epochs,
        early_stopping=False,
        validation_fraction=0.0,
        random_state=seed,
    )
    fit_quietly(model, prepare(rows))
    return _by_error(rows, prepare, model.reconstruct)


def _pca(rows: np.ndarray, recipe: Recipe, seed: int) -> Fitted:
    from sklearn.decomposition import PCA

    prepare = _prepared(rows, recipe)
    pca = PCA(recipe.n_components, random_state=seed).fit(prepare(rows))
    return _by_error(rows, prepare, lambda values: pca.inverse_transform(pca.transform(values)))


def _neighbors(rows: np.ndarray, recipe: Recipe, seed: int) -> Fitted:  # noqa: ARG001
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(rows)
    index = NearestNeighbors(n_neighbors=NEIGHBORS).fit(scaler.transform(rows))

    def scores(given: np.ndarray) -> np.ndarray:
        return index.kneighbors(scaler.transform(given))[0][:, -1]

    # Of a row of the fit, the neighbours are others.
    return _by_quantiles(scores, index.kneighbors()[0][:, -1])


def _forest(rows: np.ndarray, recipe: Recipe, seed: int) -> Fitted:  # noqa: ARG001
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(random_state=seed).fit(rows)
    return _by_quantiles(lambda given: -forest.score_samples(given), -forest.score_samples(rows))


def _narrows(rows: np.ndarray, recipe: Recipe, seed: int) -> Fitted:
    detector = AnomalyDetector(random_state=seed).fit(recipe.framed(rows))
    places = {name: place for place, name in enumerate(recipe.names or [f"x{k}" for k in range(rows.shape[1])])}

    def above(given: np.ndarray) -> np.ndarray:
        return detector.p_values(recipe.framed(given)) <= np.array(RATES)[:, None]

    def blamed(given: np.ndarray) -> np.ndarray:
        first = detector.explain(recipe.framed(given), top=1)
        return np.array([places[name] for name in first["column"]])

    return Fitted(lambda given: detector.anomaly_score(recipe.framed(given)), above, blamed, detector)


FITS: dict[str, Callable[[np.ndarray, Recipe, int], Fitted]] = {
    "taught": _taught,
    "pca": _pca,
    "neighbors": _neighbors,
    "forest": _forest,
    "narrows": _narrows,
}
"""What fits each method to rows."""

"""What the lab on films gives: plain data, and what the report shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from narrows.labs.movies_taught import TaughtResult
    from narrows.recommend import Recommender

__all__ = ["Candidate", "Film", "Gain", "MoviesExhibits", "MoviesResult", "RankingScore", "StarsScore"]


@dataclass(frozen=True)
class StarsScore:
    """How far off predicted stars are.

    Attributes
    ----------
    key, name : str
        Of what predicts: a key, and a name for people.
    rmse, mae : float
        For ratings hidden at random: the root of the mean squared error, and the mean absolute error.
    rmse_new : float or None
        The first for ratings of users who are not in the fit, from the rest of their ratings; the mean over splits.
    """

    key: str
    name: str
    rmse: float
    mae: float
    rmse_new: float | None


@dataclass(frozen=True)
class RankingScore:
    """How good lists are, of users who are not in the fit.

    Attributes
    ----------
    key, name : str
        Of what ranks.
    ndcg, recall, precision : float
        NDCG of the first 100, recall of the first 20, precision of the first 10: means over users.
    ndcg_error, recall_error, precision_error : float
        Their standard errors, over users.
    coverage : float
        Share of all films that is among the first 10 of any user; the mean over splits.
    """

    key: str
    name: str
    ndcg: float
    ndcg_error: float
    recall: float
    recall_error: float
    precision: float
    precision_error: float
    coverage: float


@dataclass(frozen=True)
class Gain:
    """By how much narrows' NDCG is above another's, user by user.

    Attributes
    ----------
    other : str
        Key of the other.
    mean, error : float
        The mean over users, and its standard error.
    """

    other: str
    mean: float
    error: float

    @property
    def order(self) -> int:
        """1 or -1 where narrows is above or below by more than twice the standard error, else 0."""
        return 0 if abs(self.mean) <= 2 * self.error else 1 if self.mean > 0 else -1


@dataclass(frozen=True)
class Candidate:
    """A way to rank that was tried on validation users.

    Attributes
    ----------
    name : str
        Which.
    ndcg, error : float
        NDCG of the first 100 on validation users, and its standard error.
    """

    name: str
    ndcg: float
    error: float


@dataclass(frozen=True)
class Film:
    """A film of a list.

    Attributes
    ----------
    item : int
        Its id.
    title : str
        Its title.
    group : str
        Genre or taste, which no model is told.
    n_ratings : int
        How many have rated it.
    mean_stars : float
        What they gave on average.
    stars : float or None
        What this user gave, or is predicted to give.
    score : float or None
        What the list is ordered by.
    """

    item: int
    title: str
    group: str
    n_ratings: int
    mean_stars: float
    stars: float | None = None
    score: float | None = None


@dataclass(frozen=True, eq=False)
class MoviesExhibits:
    """What the report shows.

    Attributes
    ----------
    model : Recommender
        Fitted to all ratings.
    points : ndarray of shape (n_mapped, 2)
        The most-rated films in the plane.
    titles, groups : tuple of str
        Of these films.
    order : tuple of str
        All groups, in their order.
    training_levels : dict of float
        The loss of trivial answers on the users the network as taught was fitted to.
    """

    model: Recommender
    points: np.ndarray
    titles: tuple[str, ...]
    groups: tuple[str, ...]
    order: tuple[str, ...]
    training_levels: dict[str, float]


@dataclass(frozen=True)
class MoviesResult:
    """The lab on films, run. Two runs are equal when all but their times is.

    Attributes
    ----------
    data : str
        Name of the ratings.
    made_up : bool
        Whether they are made up.
    kind : str
        What groups of films are: ``"genre"`` or ``"taste"``.
    seed : int
        What everything random came from.
    split_seeds : tuple of int
        Of the splits of users.
    taught : TaughtResult
        The network as taught.
    n_stars : int
        Ratings hidden at random, a tenth of all.
    stars : tuple of StarsScore
        What predicts stars, narrows last.
    least_rmse : float or None
        Of made-up ratings: the error of who knew all they were made from.
    n_asked : int
        Users asked for lists, over all splits; each counts once.
    ranking : tuple of RankingScore
        What ranks, narrows last.
    gains : tuple of Gain
        narrows against each other.
    method, reason : str
        What ranks (``"linear"``, ``"linear + factors"``), and why it was taken, on the first split.
    candidates : tuple of Candidate
        What was tried there.
    n_best_mean : int
        Films with the highest mean of stars; and half of the ten or more first ones by mean have at most
        ``best_mean_ratings`` ratings.
    best_mean_ratings : float
        See above.
    user : int
        Whom lists are for.
    liked, recommended : tuple of Film
        What this user rated highest, and what narrows recommends.
    n_same, n_compared : int
        How many of some users get the same list as known users and from their history alone.
    group : str
        The group of the made-up user.
    history, recommended_new : tuple of Film
        What the made-up user likes, and is recommended.
    popular_in_group : int
        How many of as many popular films, without the history, are of the group.
    similar_to : Film
        A well-known film.
    similar : tuple of Film
        Those most like it.
    n_mapped : int
        Films on the map.
    near_share, chance_share : float
        Of the ten films most like each of these the share of its own group, and the share by chance.
    seconds : dict of float
        Times. Do not count when results are compared.
    notes, sources : tuple of str
        How it was done, and where the data come from.
    exhibits : MoviesExhibits
        What the report shows.
    """

    data: str
    made_up: bool
    kind: str
    seed: int
    split_seeds: tuple[int, ...]
    taught: TaughtResult
    n_stars: int
    stars: tuple[StarsScore, ...]
    least_rmse: float | None
    n_asked: int
    ranking: tuple[RankingScore, ...]
    gains: tuple[Gain, ...]
    method: str
    reason: str
    candidates: tuple[Candidate, ...]
    n_best_mean: int
    best_mean_ratings: float
    user: int
    liked: tuple[Film, ...]
    recommended: tuple[Film, ...]
    n_same: int
    n_compared: int
    group: str
    history: tuple[Film, ...]
    recommended_new: tuple[Film, ...]
    popular_in_group: int
    similar_to: Film
    similar: tuple[Film, ...]
    n_mapped: int
    near_share: float
    chance_share: float
    seconds: dict[str, float] = field(compare=False)
    notes: tuple[str, ...]
    sources: tuple[str, ...]
    exhibits: MoviesExhibits = field(repr=False, compare=False)

    def stars_of(self, key: str) -> StarsScore:
        """Return how far off the stars of one way are."""
        return next(score for score in self.stars if score.key == key)

    def ranking_of(self, key: str) -> RankingScore:
        """Return how good the lists of one way are."""
        return next(score for score in self.ranking if score.key == key)

    def gain_over(self, key: str) -> Gain:
        """Return by how much narrows' lists are better than those of another."""
        return next(gain for gain in self.gains if gain.other == key)

    @property
    def lessons(self) -> tuple[str, ...]:
        """What the numbers say, a sentence or two each."""
        from narrows.labs.movies_lessons import movies_lessons

        return movies_lessons(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as dictionaries, lists, text and numbers, ready for JSON.

        Returns
        -------
        dict
            Without the exhibits.
        """
        plain: dict[str, Any] = {"name": "movies"}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if name == "taught":
                value = value.to_dict()
            elif isinstance(value, tuple):
                value = [part if isinstance(part, (str, int)) else asdict(part) for part in value]
            elif isinstance(value, Film):
                value = asdict(value)
            plain[name] = value
        del plain["exhibits"]
        return plain | {"lessons": list(self.lessons)}

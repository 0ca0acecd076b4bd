"""Made-up data whose structure is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.datasets.ratings import Ratings

if TYPE_CHECKING:
    RandomState = int | np.random.Generator | np.random.RandomState | None

__all__ = ["RatingStructure", "make_manifold", "make_ratings"]

# With Zipf's law itself almost everybody would take the first items.
HEAD = 5
ACTIVITY_STD = 1.0
# Parameters of the Dirichlet distributions: the smaller, the more a vector is of one taste.
ITEM_TASTE, USER_TASTE = 0.15, 0.3
# Fraction of an item that is for everybody, so that every user may come to every item.
COMMON_TASTE = 0.05
MEAN_STARS = 3.5
QUALITY, BIAS, MATCH, NOISE = 0.5, 0.4, 0.4, 0.6
START, TEN_YEARS, PAUSE = 946_684_800, 315_000_000, 3_600.0  # seconds, from 2000-01-01

# Users are taken in blocks of about this many interactions, and dense scores made for this many cells at most.
_BLOCK, _CELLS = 500_000, 4_000_000
# Rounds of drawing before the users who still lack items get a score for each item.
_ROUNDS = 10


def make_manifold(
    n_samples: int = 1000,
    n_features: int = 20,
    n_latent: int = 2,
    *,
    noise: float = 0.05,
    random_state: RandomState = None,
    return_latent: bool = False,
) -> Any:
    """Make rows that lie on a smooth curved surface of few dimensions, with some noise.

    Each row comes from ``n_latent`` normal numbers through a random smooth map. A plane (PCA) of ``n_latent``
    dimensions misses much of such rows; a code of ``n_latent`` numbers that may bend can hold all but the
    noise.

    Parameters
    ----------
    n_samples : int, default=1000
        Rows.
    n_features : int, default=20
        Columns. Each has a mean near 0 and a standard deviation of about 1 (0.4 to 1.4).
    n_latent : int, default=2
        Dimensions of the surface.
    noise : float, default=0.05
        Standard deviation of the normal noise added to every value: by default a twentieth of a column's own,
        so that the surface stays plain to see.
    random_state : int, numpy Generator, RandomState or None, default=None
        Seed of the map, the latent numbers and the noise. With the same seed, more rows lie on the same
        surface.
    return_latent : bool, default=False
        Give the latent numbers as well.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        float64.
    latent : ndarray of shape (n_samples, n_latent)
        Only with ``return_latent=True``.

    Examples
    --------
    >>> from narrows.datasets import make_manifold
    >>> make_manifold(500, n_features=10, random_state=0).shape
    (500, 10)
    """
    _check_sizes(n_samples=n_samples, n_features=n_features, n_latent=n_latent)
    if not noise >= 0:
        raise ValueError(f"noise must not be negative, and is {noise}.")
    rng = _generator(random_state)
    n_waves = 8 * n_latent
    # Drawn before the rows, so that the surface does not depend on how many there are.
    directions = rng.standard_normal((n_latent, n_waves))
    phases = rng.uniform(0.0, 2.0 * np.pi, n_waves)
    # A sine of random phase has variance 1/2, so this gives columns of variance 1 on average.
    mixing = rng.standard_normal((n_waves, n_features)) * np.sqrt(2.0 / n_waves)
    latent = rng.standard_normal((n_samples, n_latent))
    waves = np.sin(latent @ directions + phases) - np.exp(-(directions**2).sum(axis=0) / 2) * np.sin(phases)
    rows = waves @ mixing  # (n_samples, n_features)
    rows += noise * rng.standard_normal(rows.shape)
    return (rows, latent) if return_latent else rows


def _generator(random_state: RandomState) -> np.random.Generator:
    """Return a generator of one's own; numpy's global one is never touched."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    return np.random.default_rng(random_state)


@dataclass(frozen=True, eq=False)
class RatingStructure:
    """What made-up ratings were made from.

    Attributes
    ----------
    users, items : ndarray of int64, shape (n_users,) and (n_items,)
        The ids, in the order of the arrays below.
    user_tastes, item_tastes : ndarray of shape (n_users, n_tastes) and (n_items, n_tastes)
        How much of each taste a user or an item has; each row sums to 1.
    popularity : ndarray of shape (n_items,)
        The weight of each item before tastes; sums to 1.
    quality : ndarray of shape (n_items,)
        What an item adds to its stars.
    bias : ndarray of shape (n_users,)
        What a user adds to the stars they give.
    """

    users: np.ndarray
    items: np.ndarray
    user_tastes: np.ndarray
    item_tastes: np.ndarray
    popularity: np.ndarray
    quality: np.ndarray
    bias: np.ndarray


def make_ratings(
    n_users: int = 1000,
    n_items: int = 500,
    n_ratings: int = 50_000,
    *,
    n_tastes: int = 8,
    rated: bool = True,
    random_state: RandomState = None,
    return_structure: bool = False,
) -> Any:
    """Make ratings of films by users, with a structure that is known.

    - **Tastes.** Each user and each item is a mixture of ``n_tastes`` tastes, most of it one or two of them.
    - **Popularity** follows Zipf's law with a flattened head (Mandelbrot): the item of rank r has a weight of
      1 / (r + 5). It has nothing to do with tastes nor with quality.
    - **Activity.** How many items users take is log-normal (the logarithm has a standard deviation of 1), above a fifth
      of the mean, which everybody takes; nobody takes more than half of the items, or twice the mean if that is more.
    - **Which items.** A user draws one item after the other, none twice. Each time a taste is drawn from the user's
      mixture, and then an item with a probability that grows with its popularity times its share of that taste.
    - **Stars** are 3.5, plus the item's quality (deviation 0.5), the user's bias (0.4), the match of their tastes
      (0.4: the product of the two mixtures, standardised over all ratings) and noise (0.6), all but the match normal
      and independent; then rounded to half stars and cut to 0.5 to 5. Before that, of a variance of 0.93 about 0.25
      is due to items, 0.16 to users, 0.16 to tastes, and 0.36 cannot be predicted.
    - **Times** rise within each user in the order of drawing, about an hour apart, from a day within ten years.

    Parameters
    ----------
    n_users : int, default=1000
        Users; each takes something.
    n_items : int, default=500
        Items; of many, some may be taken by nobody.
    n_ratings : int, default=50_000
        Interactions, this many exactly.
    n_tastes : int, default=8
        Tastes.
    rated : bool, default=True
        Whether there are stars, or it is only known which items were taken.
    random_state : int, numpy Generator, RandomState or None, default=None
        Seed of everything. The same seed and sizes give the same ratings.
    return_structure : bool, default=False
        Give what they were made from as well.

    Returns
    -------
    ratings : Ratings
        By user, then by time. Ids are whole numbers above 100 with gaps, so they are no positions; the title of item
        137 is ``"Film 0137"``.
    structure : RatingStructure
        Only with ``return_structure=True``.

    Notes
    -----
    Works in blocks of users: 20,000,000 interactions of 200,000 users with 50,000 items take less than 1 GB and
    less than a minute on one core.

    Examples
    --------
    >>> from narrows.datasets import make_ratings
    >>> ratings = make_ratings(200, 100, 5000, random_state=0)
    >>> ratings
    Ratings('made-up': 5,000 ratings of 200 users with 100 items)
    >>> ratings.titles[int(ratings.item[0])].startswith("Film 0")
    True
    """
    _check_sizes(n_users=n_users, n_items=n_items, n_ratings=n_ratings, n_tastes=n_tastes)
    if not n_users <= n_ratings <= n_users * n_items:
        most = n_users * n_items
        raise ValueError(
            f"n_ratings must be from {n_users} (one a user) to {most} (each item by each user), not {n_ratings}."
        )
    rng = _generator(random_state)
    structure = _structure(rng, n_users, n_items, n_tastes)
    counts = _activity(rng, n_users, n_items, n_ratings)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    items = np.empty(n_ratings, dtype=np.int32)
    # The running sums of each taste's probabilities of items, shape (n_tastes, n_items).
    cumulative = np.cumsum((structure.item_tastes * structure.popularity[:, None]).T, axis=1)
    cumulative /= cumulative[:, -1:]
    for first, last in _blocks(bounds):
        drawn = _draw(rng, structure.user_tastes[first:last], counts[first:last], cumulative)
        items[bounds[first] : bounds[last]] = drawn
    stars = _stars(rng, structure, bounds, items) if rated else None
    ratings = Ratings(
        user=np.repeat(structure.users, counts),
        item=structure.items[items],
        rating=stars,
        timestamp=_times(rng, bounds),
        titles={number: f"Film {number:04d}" for number in structure.items.tolist()},
        name="made-up",
        source="made up",
        licence="none needed",
        citation="none needed",
    )
    return (ratings, structure) if return_structure else ratings


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, not {size}.")


def _structure(rng: np.random.Generator, n_users: int, n_items: int, n_tastes: int) -> RatingStructure:
    popularity = 1 / (HEAD + np.arange(1, n_items + 1))
    item_tastes = rng.dirichlet(np.full(n_tastes, ITEM_TASTE), n_items)
    return RatingStructure(
        users=100 + rng.integers(1, 4, n_users).cumsum(),
        items=100 + rng.integers(1, 4, n_items).cumsum(),
        user_tastes=rng.dirichlet(np.full(n_tastes, USER_TASTE), n_users),
        item_tastes=(1 - COMMON_TASTE) * item_tastes + COMMON_TASTE / n_tastes,
        popularity=rng.permutation(popularity / popularity.sum()),
        quality=QUALITY * rng.standard_normal(n_items),
        bias=BIAS * rng.standard_normal(n_users),
    )


def _activity(rng: np.random.Generator, n_users: int, n_items: int, n_ratings: int) -> np.ndarray:
    """Part the interactions among the users."""
    most = min(n_items, max(n_items // 2, -(-2 * n_ratings // n_users)))
    weights = rng.lognormal(0.0, ACTIVITY_STD, n_users)
    counts = np.full(n_users, max(1, n_ratings // n_users // 5), dtype=np.int64)
    while (left := n_ratings - int(counts.sum())) > 0:
        open_ = np.flatnonzero(counts < most)
        # Rounding the running sum rather than each share makes the shares add up.
        edges = np.rint(left * np.cumsum(weights[open_]) / weights[open_].sum()).astype(np.int64)
        counts[open_] = np.minimum(counts[open_] + np.diff(edges, prepend=0), most)
    return counts


def _blocks(bounds: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cut the users into blocks of about as many interactions."""
    first = 0
    while first < len(bounds) - 1:
        last = int(np.searchsorted(bounds, bounds[first] + _BLOCK, side="right")) - 1
        last = max(last, first + 1)
        yield first, last
        first = last


def _draw(rng: np.random.Generator, tastes: np.ndarray, counts: np.ndarray, cumulative: np.ndarray) -> np.ndarray:
    """Draw items for some users, one after the other and none twice.

    More than needed are drawn with repetition, in rounds, and the first of each kept, in their order. What is then
    still lacking comes from a score for each item with Gumbel noise, the highest first: the same distribution again.
    """
    n_items = cumulative.shape[1]
    ends = np.cumsum(counts)
    found = np.full(ends[-1], -1, dtype=np.int32)
    starts = ends - counts
    have = np.zeros(len(counts), dtype=np.int64)
    lacking = np.arange(len(counts))
    for _ in range(_ROUNDS):
        missing = counts[lacking] - have[lacking]
        users = np.repeat(lacking, missing + missing // 2 + 2)
        new = _with_repetition(rng, tastes, users, cumulative)
        old_users = np.repeat(lacking, have[lacking])
        old = found[_ranges(starts[lacking], have[lacking])]
        users, items = np.concatenate([old_users, users]), np.concatenate([old, new])
        # Each pair once, by user, and for each user in the order of first appearance.
        _, places = np.unique(users * n_items + items, return_index=True)
        places = places[np.lexsort((places, users[places]))]
        users, items = users[places], items[places]
        ranks = np.arange(len(users)) - np.searchsorted(users, users)
        kept = ranks < counts[users]
        users, items, ranks = users[kept], items[kept], ranks[kept]
        found[starts[users] + ranks] = items
        have[lacking] = np.bincount(users, minlength=len(counts))[lacking]
        lacking = lacking[have[lacking] < counts[lacking]]
        if not len(lacking):
            return found
    probabilities = np.diff(cumulative, axis=1, prepend=0.0)
    step = max(1, _CELLS // n_items)
    for begin in range(0, len(lacking), step):
        some = lacking[begin : begin + step]
        scores = np.log(np.maximum(tastes[some] @ probabilities, 1e-300))  # (n_users, n_items)
        scores += rng.gumbel(size=scores.shape)
        scores[np.repeat(np.arange(len(some)), have[some]), found[_ranges(starts[some], have[some])]] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")
        lack = counts[some] - have[some]
        rest = np.concatenate([row[:size] for row, size in zip(order, lack, strict=True)])
        found[_ranges(starts[some] + have[some], lack)] = rest
    return found


def _with_repetition(
    rng: np.random.Generator, tastes: np.ndarray, users: np.ndarray, cumulative: np.ndarray
) -> np.ndarray:
    """Draw an item for each entry of ``users``: a taste, then an item of that taste."""
    edges = np.cumsum(tastes, axis=1)
    chance = rng.random(len(users)) * edges[users, -1]
    taste = (chance[:, None] >= edges[users, :-1]).sum(axis=1)
    items = np.empty(len(users), dtype=np.int32)
    chance = rng.random(len(users))
    for number, sums in enumerate(cumulative):
        here = np.flatnonzero(taste == number)
        # Of a running sum that ends at 1, a chance below 1 finds a place inside.
        items[here] = np.searchsorted(sums, chance[here], side="right")
    return items


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the numbers from each start on, as many as its length, joined."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def _stars(rng: np.random.Generator, structure: RatingStructure, bounds: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Put the stars together."""
    match = np.empty(len(items), dtype=np.float32)
    counts = np.diff(bounds)
    for first, last in _blocks(bounds):
        part = slice(bounds[first], bounds[last])
        mine = np.repeat(structure.user_tastes[first:last], counts[first:last], axis=0)
        match[part] = np.einsum("nt,nt->n", mine, structure.item_tastes[items[part]])
    mean, spread = match.mean(dtype=np.float64), match.std(dtype=np.float64)
    # With a single taste everything matches alike.
    scale = MATCH / spread if spread > 1e-6 else 0.0
    for first, last in _blocks(bounds):
        part = slice(bounds[first], bounds[last])
        stars = MEAN_STARS + scale * (match[part].astype(np.float64) - mean)
        stars += structure.quality[items[part]] + np.repeat(structure.bias[first:last], counts[first:last])
        stars += NOISE * rng.standard_normal(len(stars))
        match[part] = np.clip(np.rint(2 * stars) / 2, 0.5, 5.0)
    return match


def _times(rng: np.random.Generator, bounds: np.ndarray) -> np.ndarray:
    """Return seconds since 1970 that rise strictly within each user."""
    times = np.empty(bounds[-1], dtype=np.int64)
    starts = START + rng.integers(0, TEN_YEARS, len(bounds) - 1)
    for first, last in _blocks(bounds):
        counts = np.diff(bounds[first : last + 1])
        gaps = 1 + rng.exponential(PAUSE, int(counts.sum())).astype(np.int64)
        sums = np.cumsum(gaps)
        begin = bounds[first:last] - bounds[first]
        times[bounds[first] : bounds[last]] = sums + np.repeat(starts[first:last] - sums[begin] + gaps[begin], counts)
    return times

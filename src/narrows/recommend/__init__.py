"""Recommendation: from a log of who took what to the items a user would like best, with autoencoders of users' rows.

Read :mod:`.interactions` (a log in the caller's ids), :mod:`.methods` (what ranks, as options), the models in
:mod:`.linear`, :mod:`.multinomial` and :mod:`.rating`, :mod:`.search`, then :mod:`.recommender`.
"""

from narrows.recommend.evaluation import Evaluation
from narrows.recommend.interactions import Columns, Interactions, read_interactions
from narrows.recommend.methods import Ensemble, Factors, Linear, Method, Multinomial, Rating
from narrows.recommend.recommender import Recommender
from narrows.recommend.splits import split_last, split_random, split_users

__all__ = [
    "Columns",
    "Ensemble",
    "Evaluation",
    "Factors",
    "Interactions",
    "Linear",
    "Method",
    "Multinomial",
    "Rating",
    "Recommender",
    "read_interactions",
    "split_last",
    "split_random",
    "split_users",
]

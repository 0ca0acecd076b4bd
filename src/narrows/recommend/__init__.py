"""Recommendation: from a log of who took what to the items a user would like best, with autoencoders of users' rows.

=====================  ==========================================================================
:mod:`.log`            a log in the caller's ids, as a sparse matrix
:mod:`.methods`        the ways to rank and to predict ratings, as options
:mod:`.linear`         the linear autoencoder in closed form (EASE and its popularity-weighted kin)
:mod:`.multinomial`    Mult-DAE and Mult-VAE, started at the linear answer
:mod:`.factors`        weighted matrix factorisation, codes computed for each user
:mod:`.rating`         ratings, from the loss on observed entries only
:mod:`.fitting`        fitting, and choosing on validation users
:mod:`.serving`        from scores to the best items, a block of users at a time
:mod:`.splits`         parting a log by users, by time, by chance
:mod:`.ranking`        the metrics of lists
:mod:`.evaluating`     all of it measured, the simple answers beside
=====================  ==========================================================================
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

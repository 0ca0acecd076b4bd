"""What a reconstruction costs: per row and per feature, with missing values left out.

A likelihood is an option value; :meth:`Likelihood.head` fits it to the data and gives a small torch module that
turns the decoder's raw output into a mean in the data's units, into a cost, and into draws. Costs are sums over
features; the mean over rows is taken by whoever trains.
"""

from narrows.likelihoods.base import Head, Likelihood
from narrows.likelihoods.bernoulli import Bernoulli, BernoulliHead
from narrows.likelihoods.gaussian import Gaussian, GaussianHead, hard_bounds
from narrows.likelihoods.logistic import DiscretisedLogistic, DiscretisedLogisticHead
from narrows.likelihoods.mixed import Mixed, MixedHead
from narrows.likelihoods.normal import NormalHead

__all__ = [
    "Bernoulli",
    "BernoulliHead",
    "DiscretisedLogistic",
    "DiscretisedLogisticHead",
    "Gaussian",
    "GaussianHead",
    "Head",
    "Likelihood",
    "Mixed",
    "MixedHead",
    "NormalHead",
    "hard_bounds",
]

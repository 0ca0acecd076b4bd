"""What a reconstruction costs: per row and per feature, with missing values left out.

A likelihood is an option value; :meth:`Likelihood.head` fits it to the data and gives a small torch module that
turns the decoder's raw output into a mean in the data's units, into a cost, and into draws. Costs are sums over
features; the mean over rows is taken by whoever trains.
"""

from narrows.likelihoods.base import (
    Gaussian,
    GaussianOutput,
    Likelihood,
    NormalOutput,
    OutputDistribution,
    Standardise,
    hard_bounds,
)
from narrows.likelihoods.bernoulli import Bernoulli, BernoulliOutput
from narrows.likelihoods.logistic import DiscretisedLogistic, DiscretisedLogisticOutput
from narrows.likelihoods.mixed import Mixed, MixedOutput

__all__ = [
    "Bernoulli",
    "BernoulliOutput",
    "DiscretisedLogistic",
    "DiscretisedLogisticOutput",
    "Gaussian",
    "GaussianOutput",
    "Likelihood",
    "Mixed",
    "MixedOutput",
    "NormalOutput",
    "OutputDistribution",
    "Standardise",
    "hard_bounds",
]

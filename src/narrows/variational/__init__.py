"""The variational autoencoder: codes that are distributions, and new rows from them."""

from narrows.priors import Mixture, Normal, Prior
from narrows.variational.bounds import Elbo
from narrows.variational.variational_autoencoder import VariationalAutoencoder

__all__ = ["Elbo", "Mixture", "Normal", "Prior", "VariationalAutoencoder"]

"""Torch modules that encode and decode; they know nothing of data or training."""

from narrows.networks.base import LinearInit, Network
from narrows.networks.convolutional import Convolutional
from narrows.networks.custom import Modules
from narrows.networks.dense import Dense
from narrows.networks.scaling import Standardise

__all__ = ["Convolutional", "Dense", "LinearInit", "Modules", "Network", "Standardise"]

"""Torch modules that encode and decode; they know nothing of data or training."""

from narrows.networks.base import LinearInit, Network
from narrows.networks.convolutional import Convolutional
from narrows.networks.dense import Dense
from narrows.networks.modules import Modules

__all__ = ["Convolutional", "Dense", "LinearInit", "Modules", "Network"]

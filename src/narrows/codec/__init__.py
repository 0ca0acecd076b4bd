"""The codec: data compressed with a learned model, and restored exactly or within a bound."""

from narrows.codec.codec import Codec
from narrows.codec.files import describe

__all__ = ["Codec", "describe"]

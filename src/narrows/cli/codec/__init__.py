"""The verbs of the codec: ``codec fit``, ``codec info``, ``codec verify``, ``compress`` and ``decompress``."""

"""Files that are written whole or not at all, and the container of tensors that models are kept in."""

"""The model of pictures: a network that predicts each value from those before it."""

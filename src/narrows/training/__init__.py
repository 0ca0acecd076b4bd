"""The one training loop, and what is passed into it."""

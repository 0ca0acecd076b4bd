"""Rows of numbers from whatever is handed in."""

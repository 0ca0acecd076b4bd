"""Data as columns, columns as whole numbers, and both ways back."""

"""What all fitted estimators share: base class, inference by blocks, saving and loading."""

"""Checks of a whole dataset, once its lines have been read."""

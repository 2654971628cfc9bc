"""Checks of the whole dataset: each function yields the findings of one code."""

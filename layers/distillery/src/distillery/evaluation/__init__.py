"""Measures how well each candidate answered the holdout, and applies the gate."""

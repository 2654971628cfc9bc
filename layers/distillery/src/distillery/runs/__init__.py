"""Runs: their states, the moves between states, and the events."""

"""Distillery learns query-aware channel weights from a large model and serves them from a small one."""

__version__ = "0.2.0.dev0"

"""Generates a dataset from a spec: plans queries, keeps their labels, assembles the file."""

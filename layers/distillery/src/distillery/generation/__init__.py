"""A dataset from a spec: planned queries, their labels, the assembled file."""

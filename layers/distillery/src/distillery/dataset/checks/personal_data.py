"""Likely personal data in queries: e-mail addresses, phone numbers, card numbers.

What is cheap comes first: a query without an "@" and without seven digits is looked at no further.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KINDS = ("an e-mail address", "a phone number", "a card number")
PHONE_REGION = "US"
"""Numbers without a country code are read as numbers of this region."""
MOST_PHONES = 500
"""Queries with digits enough that are searched for phone numbers: it takes a fifth of a millisecond each."""
MOST_TRIES = 10
"""Places of a query that are tried."""
_BLOCK = 500
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63})+")
_SEPARATED = r"[ ().+/-]{0,3}"
_DIGITS = re.compile(rf"[0-9](?:{_SEPARATED}[0-9]){{6}}")
_YEAR = r"\b(?:19|20)[0-9]{2}"
_DATE = re.compile(rf"{_YEAR}(?:[-/. ][0-9]{{1,2}}){{2}}\b|{_YEAR} ?- ?{_YEAR}\b")
_CARD = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
# Issuers' first digits: Visa, Mastercard, American Express, Discover, JCB, Maestro and UnionPay.
_ISSUER = re.compile(r"4|5[0-8]|2[2-7]|3[47]|6|35")


def personal_data(queries: Iterable[str]) -> dict[str, list[int]]:
    """Kind -> positions of the queries that hold what looks like it, in their order."""
    held: dict[str, list[int]] = {}
    numbered: list[tuple[int, str]] = []
    for position, query in _suspected(queries):
        if "@" in query and _ADDRESS.search(query):
            held.setdefault(KINDS[0], []).append(position)
        undated = _DATE.sub(" ", query)
        if not _DIGITS.search(undated):
            continue
        if any(_is_card(re.sub("[ -]", "", digits)) for digits in _CARD.findall(undated)):
            held.setdefault(KINDS[2], []).append(position)
        else:
            numbered.append((position, undated))
    phones = [position for position, query in numbered[:MOST_PHONES] if _holds_phone(query)]
    return held | ({KINDS[1]: phones} if phones else {})


def _suspected(queries: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The queries, with their positions, of blocks in which anything is suspected."""
    numbered = enumerate(queries)
    # One search over many queries: asked one by one, the asking would cost more than the searching.
    while block := list(islice(numbered, _BLOCK)):
        joined = "\n".join(query for _, query in block)
        if "@" in joined or _DIGITS.search(joined):
            yield from block


def _is_card(digits: str) -> bool:
    """An issuer's number with the check digit of Luhn (ISO/IEC 7812-1)."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    total = sum(map(int, digits[-1::-2])) + sum(number - 9 if number > 9 else number for number in doubled)
    return total % 10 == 0 and _ISSUER.match(digits) is not None


def _holds_phone(query: str) -> bool:
    # Imported here: hardly any dataset needs it.
    import phonenumbers

    found = phonenumbers.PhoneNumberMatcher(query, PHONE_REGION, max_tries=MOST_TRIES)
    return bool(found.has_next())

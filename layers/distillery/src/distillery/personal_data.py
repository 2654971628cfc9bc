"""Likely personal data in queries: e-mail addresses, phone numbers, card numbers.

What is cheap comes first: a query without an "@" and without seven digits is looked at no further.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = ("an e-mail address", "a phone number", "a card number")
PHONE_REGION = "US"
"""Numbers without a country code are read as numbers of this region."""
_BLOCK = 500
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63})+")
_SEPARATED = r"[ ().+/-]{0,3}"
_DIGITS = re.compile(rf"[0-9](?:{_SEPARATED}[0-9]){{6}}")
_CARD = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
# Issuers' first digits: Visa, Mastercard, American Express, Discover, JCB, Maestro and UnionPay.
_ISSUER = re.compile(r"4|5[0-8]|2[2-7]|3[47]|6|35")


def personal_data(queries: Iterable[str]) -> dict[str, list[int]]:
    """Kind -> positions of the queries that hold what looks like it, in their order."""
    held: dict[str, list[int]] = {}
    block: list[str] = []
    start = 0
    for query in queries:
        block.append(query)
        if len(block) == _BLOCK:
            _search(block, start, held)
            start, block = start + len(block), []
    _search(block, start, held)
    return held


def _search(block: list[str], start: int, held: dict[str, list[int]]) -> None:
    # One search over many queries: asked one by one, the asking would cost more than the searching.
    joined = "\n".join(block)
    if "@" not in joined and not _DIGITS.search(joined):
        return
    for position, query in enumerate(block, start):
        for kind in _kinds(query):
            held.setdefault(kind, []).append(position)


def _kinds(query: str) -> Iterable[str]:
    address, phone, card = KINDS
    if "@" in query and _ADDRESS.search(query):
        yield address
    if _DIGITS.search(query):
        if any(_is_card(re.sub("[ -]", "", found)) for found in _CARD.findall(query)):
            yield card
        elif _holds_phone(query):
            yield phone


def _is_card(digits: str) -> bool:
    """An issuer's number with the check digit of Luhn (ISO/IEC 7812-1)."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    total = sum(map(int, digits[-1::-2])) + sum(number - 9 if number > 9 else number for number in doubled)
    return total % 10 == 0 and _ISSUER.match(digits) is not None


def _holds_phone(query: str) -> bool:
    # Imported here: hardly any dataset needs it.
    import phonenumbers

    return phonenumbers.PhoneNumberMatcher(query, PHONE_REGION).has_next()

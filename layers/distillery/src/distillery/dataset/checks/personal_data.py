"""Findings on likely personal data in queries: e-mail addresses, phone numbers, card numbers.

Cheap tests run first: a query without an "@" and without seven digits is not searched any further.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from distillery.dataset.findings import Finding, new_finding
from distillery.messages import counted, line_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from distillery.dataset.checks.scanned_dataset import ScannedDataset

KINDS = ("an e-mail address", "a phone number", "a card number")
PHONE_REGION = "US"
"""Numbers without a country code are read as numbers of this region."""
MOST_PHONES = 500
"""Queries that are searched for phone numbers at most: each search takes a fifth of a millisecond."""
MOST_TRIES = 10
"""Positions in a query at which a phone number is tried."""
_BLOCK = 500
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63})+")
_SEPARATED = r"[ ().+/-]{0,3}"
_DIGITS = re.compile(rf"[0-9](?:{_SEPARATED}[0-9]){{6}}")
_YEAR = r"\b(?:19|20)[0-9]{2}"
_DATE = re.compile(rf"{_YEAR}(?:[-/. ][0-9]{{1,2}}){{2}}\b|{_YEAR} ?- ?{_YEAR}\b")
_CARD = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
# First digits of Visa, Mastercard, American Express, Discover, JCB, Maestro and UnionPay cards.
_ISSUER = re.compile(r"4|5[0-8]|2[2-7]|3[47]|6|35")


def personal_data(dataset: ScannedDataset) -> Iterator[Finding]:
    """One finding for each kind of personal data, with the lines that hold it. The data is not repeated."""
    kept = dataset.kept
    keys = list(kept.queries)
    for kind, positions in find_personal_data(kept.queries.values()).items():
        by_key = kept.lines_by_key(frozenset(keys[position] for position in positions))
        lines = sorted(line for lines in by_key.values() for line in lines)
        holders = counted(len(positions), "query contains", "queries contain")
        message = f"{holders} what looks like {kind}: {line_list(lines)}."
        yield new_finding("personal_data", lines[0], message, lines=lines)


def find_personal_data(queries: Iterable[str]) -> dict[str, list[int]]:
    """Positions of the queries that contain what looks like personal data, in ascending order, by kind."""
    found: dict[str, list[int]] = {}
    numbered: list[tuple[int, str]] = []
    for position, query in _suspected(queries):
        if "@" in query and _ADDRESS.search(query):
            found.setdefault(KINDS[0], []).append(position)
        undated = _DATE.sub(" ", query)
        if not _DIGITS.search(undated):
            continue
        if any(_is_card(re.sub("[ -]", "", digits)) for digits in _CARD.findall(undated)):
            found.setdefault(KINDS[2], []).append(position)
        else:
            numbered.append((position, undated))
    phones = [position for position, query in numbered[:MOST_PHONES] if _holds_phone(query)]
    return found | ({KINDS[1]: phones} if phones else {})


def _suspected(queries: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The queries, with their positions, of every block that has an "@" or seven digits in it."""
    numbered = enumerate(queries)
    # One search over a block of queries: with one search a query, the calls would cost more than the
    # searches.
    while block := list(islice(numbered, _BLOCK)):
        joined = "\n".join(query for _, query in block)
        if "@" in joined or _DIGITS.search(joined):
            yield from block


def _is_card(digits: str) -> bool:
    """Whether a number has an issuer's first digits and a valid Luhn check digit (ISO/IEC 7812-1)."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    total = sum(map(int, digits[-1::-2])) + sum(number - 9 if number > 9 else number for number in doubled)
    return total % 10 == 0 and _ISSUER.match(digits) is not None


def _holds_phone(query: str) -> bool:
    # Imported only when needed: hardly any dataset has such queries.
    import phonenumbers

    matches = phonenumbers.PhoneNumberMatcher(query, PHONE_REGION, max_tries=MOST_TRIES)
    return bool(matches.has_next())

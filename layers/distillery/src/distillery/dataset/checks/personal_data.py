"""Findings on likely personal data in queries: addresses, phone, card and account numbers.

Cheap tests run first: a query without an at sign and without seven digits is not searched any further.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice
from typing import TYPE_CHECKING

from distillery.dataset.findings import Finding, new_finding
from distillery.messages import counted, line_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from distillery.dataset.checks.scanned_dataset import ScannedDataset

EMAIL, PHONE, CARD = "an e-mail address", "a phone number", "a card number"
ACCOUNT, SOCIAL_SECURITY = "a bank account number (IBAN)", "a US social security number"
PHONE_REGION = "US"
"""Numbers without a country code, and without a word that says what they are, are read as numbers of this
region."""
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
_AT_SIGN = re.compile(r"\s*[(\[]\s*at\s*[)\]]\s*", re.IGNORECASE)
_DOT = re.compile(r"\s*[(\[]\s*dot\s*[)\]]\s*", re.IGNORECASE)
_IP_ADDRESS = re.compile(r"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])")
# Area and group numbers that are never issued are left out.
_SOCIAL_SECURITY = re.compile(r"(?<![\w-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![\w-])")
_ACCOUNT = re.compile(r"(?<![A-Z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}")
_PHONE_WORDS = (
    "call|phone|telephone|tel|ring|dial|mobile|cell|whatsapp|sms|fax|hotline|handy|telefon|rufnummer|anrufen|"
    "appelle[rz]?|t\u00e9l\u00e9phone|tel\u00e9fono|telefono|telefone|llam[ae]r?|chiam[ai]|ligue|\u0442\u0435\u043b|\u0442\u0435\u043b\u0435\u0444\u043e\u043d|"
    "\u0437\u0432\u043e\u043d\u0438(?:\u0442\u0435)?"
)
# A word that announces a phone number, at most two words between, and 7 to 15 digits.
_MARKED_PHONE = re.compile(
    rf"(?:\b(?:{_PHONE_WORDS})\b\.?(?:\W+[^\W\d]+){{0,2}}|\u96fb\u8a71(?:\u756a\u53f7)?|\u7535\u8bdd|\uc804\ud654)\W{{0,3}}"
    rf"(?P<number>[0-9](?:{_SEPARATED}[0-9]){{6,14}})(?![0-9])",
    re.IGNORECASE,
)
_INTERNATIONAL = re.compile(r"(?<![\w+./-])00(?=[1-9][0-9])")
ACCOUNT_LENGTHS = {
    length: countries.split()
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "PT ST", 26: "IS TR", 27: "FR GR IT MC MR SM", 28: "AL AZ CY DO GT HU LB PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU", 31: "MT SC", 32: "LC",
    }.items()
}  # fmt: skip
"""Lengths of an IBAN, with their countries (SWIFT's IBAN registry)."""
_ACCOUNT_LENGTH = {country: length for length, countries in ACCOUNT_LENGTHS.items() for country in countries}
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
    phones: list[int] = []
    for position, query in _suspected(queries):
        if "@" in query and _ADDRESS.search(query):
            found.setdefault(EMAIL, []).append(position)
        undated = _IP_ADDRESS.sub(" ", _DATE.sub(" ", query))
        if not _DIGITS.search(undated):
            continue
        if any(map(_is_account, _ACCOUNT.findall(undated.upper()))):
            found.setdefault(ACCOUNT, []).append(position)
        elif any(_is_card(re.sub("[ -]", "", digits)) for digits in _CARD.findall(undated)):
            found.setdefault(CARD, []).append(position)
        elif _SOCIAL_SECURITY.search(undated):
            found.setdefault(SOCIAL_SECURITY, []).append(position)
        elif _MARKED_PHONE.search(undated):
            phones.append(position)
        else:
            numbered.append((position, undated))
    phones += [position for position, query in numbered[:MOST_PHONES] if _holds_phone(query)]
    return found | ({PHONE: sorted(phones)} if phones else {})


def _suspected(queries: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The queries, with their positions, of every block that has an at sign or seven digits in it.

    Full-width characters become plain ones, and at signs and dots in words become characters.
    """
    numbered = enumerate(queries)
    # One search over a block of queries: with one search a query, the calls would cost more than the
    # searches.
    while block := list(islice(numbered, _BLOCK)):
        joined = _plain("\n".join(query for _, query in block))
        if "@" in joined or _DIGITS.search(joined):
            yield from ((position, _plain(query)) for position, query in block)


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _DOT.sub(".", _AT_SIGN.sub("@", text)) if "(" in text or "[" in text else text


def _is_account(text: str) -> bool:
    """Whether a text begins with an IBAN: its country's length, and valid check digits (ISO 13616)."""
    account = text.replace(" ", "")[: _ACCOUNT_LENGTH.get(text[:2], 0)]
    if len(account) != _ACCOUNT_LENGTH.get(text[:2]):
        return False
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1


def _is_card(digits: str) -> bool:
    """Whether a number has an issuer's first digits and a valid Luhn check digit (ISO/IEC 7812-1)."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    total = sum(map(int, digits[-1::-2])) + sum(number - 9 if number > 9 else number for number in doubled)
    return total % 10 == 0 and _ISSUER.match(digits) is not None


def _holds_phone(query: str) -> bool:
    # Imported only when needed: hardly any dataset has such queries.
    import phonenumbers

    query = _INTERNATIONAL.sub("+", query)
    matches = phonenumbers.PhoneNumberMatcher(query, PHONE_REGION, max_tries=MOST_TRIES)
    return any(_is_phone(query, match.start, match.end) for match in matches)


def _is_phone(query: str, start: int, end: int) -> bool:
    """Whether a number that may be a phone number is not a bare count or a part of another identifier."""
    bare = query[start:end].isdigit()
    return not bare and not re.search(r"\w[-./_]$", query[:start]) and not re.match(r"[-./_]\w", query[end:])

"""Rules for every text of a line: control characters, surrogates, reserved strings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from distillery.dataset.findings import Finding, LineError, new_finding

if TYPE_CHECKING:
    from typing import Final

RESERVED = ("User:", "Bot:", "Assistant:", "System:", "<image>", "<video>", "[EOS]")
"""Strings that make a customization job of Nova fail if a prompt contains them."""
_find_surrogate: Final = re.compile("[\ud800-\udfff]").search
# C0, C1 and DEL, except tab, line feed and carriage return.
_controls: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def without_controls(text: str, where: str, line: int, findings: list[Finding]) -> str:
    """The text without control characters; appends a finding if there were any."""
    if text.isprintable():  # true for most texts, and cheap to test
        return text
    clean, count = _controls.subn("", text)
    if count:
        message = f"{count:,} control {'characters' if count > 1 else 'character'} removed from the {where}."
        findings.append(new_finding("control_characters", line, message))
    return clean


def encodable(text: str, role: str) -> str:
    """The text itself; raises LineError if it cannot be written as UTF-8."""
    # "\ud800" is legal JSON and a legal str, but cannot be encoded.
    if not text.isascii() and _find_surrogate(text):
        raise LineError(
            "half_character",
            f"The {role} text contains half of a surrogate pair, which cannot be written as UTF-8.",
        )
    return text


def check_reserved(text: str, where: str) -> None:
    """Raise LineError if the text contains a reserved string."""
    if not (":" in text or ">" in text or "]" in text):  # every reserved string ends in one of these
        return
    for reserved in RESERVED:
        if reserved in text:
            raise LineError(
                "reserved_string",
                f"The {where} contains {reserved!r}, which makes a customization job fail.",
                f"Reword the text, for example without {reserved[-1]!r}.",
            )


def beyond_ascii(text: str) -> int:
    """The number of characters of a text that are not ASCII."""
    return 0 if text.isascii() else sum(character > "\x7f" for character in text)

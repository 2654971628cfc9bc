"""What a text of a line must not hold, whatever it says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from distillery.dataset.findings import Finding, Flaw, found

if TYPE_CHECKING:
    from typing import Final

RESERVED = ("User:", "Bot:", "Assistant:", "System:", "<image>", "<video>", "[EOS]")
"""Strings that fail a customization job of Nova wherever they stand in a prompt."""
_find_surrogate: Final = re.compile("[\ud800-\udfff]").search
# C0 and C1 and DEL, but not what ends or indents a line of text.
_controls: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def without_controls(text: str, where: str, line: int, findings: list[Finding]) -> str:
    """The text without control characters; says in `findings` that there were some."""
    if text.isprintable():  # most are, and this costs next to nothing
        return text
    clean, count = _controls.subn("", text)
    if count:
        told = f"{count:,} control {'characters' if count > 1 else 'character'} removed from the {where}."
        findings.append(found("control_characters", line, told))
    return clean


def sound(text: str, role: str) -> str:
    """The text itself; raises Flaw where it is none that can be written."""
    # "\ud800" is legal JSON and a legal str, but no UTF-8 can be written from it.
    if not text.isascii() and _find_surrogate(text):
        raise Flaw(
            "half_character", f"The {role} text holds half of a surrogate pair, which no text can hold."
        )
    return text


def check_reserved(text: str, where: str) -> None:
    """Raise Flaw where the text holds what fails a job."""
    if not (":" in text or ">" in text or "]" in text):  # the last characters of all that is reserved
        return
    for reserved in RESERVED:
        if reserved in text:
            raise Flaw(
                "reserved_string",
                f"The {where} contains {reserved!r}, which fails a customization job.",
                f"Write it differently, for example without {reserved[-1]!r}.",
            )

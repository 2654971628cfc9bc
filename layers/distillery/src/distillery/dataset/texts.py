"""Rules for every text of a line: characters nobody sees, surrogates, reserved strings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from distillery.dataset.findings import Finding, LineError, new_finding
from distillery.messages import shown

if TYPE_CHECKING:
    from typing import Final

RESERVED = (
    "User:", "Bot:", "Assistant:", "System:", "USER:", "BOT:", "ASSISTANT:", "SYSTEM:", "Thought:",
    "<image>", "<video>", "[EOS]",
)  # fmt: skip
"""Strings that make a customization job of Nova fail if a prompt contains them. The documentation has seven;
the dataset validator for Nova in AWS's samples refuses five more."""
_find_surrogate: Final = re.compile("[\ud800-\udfff]").search
# C0, C1 and DEL, except tab, line feed and carriage return.
_controls: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
"""What Windows-1252 has at the control characters U+0080 to U+009F; empty where it has nothing."""
_windows: Final = re.compile(f"[{''.join(map(chr, (code for code, char in _WINDOWS.items() if char)))}]")
REPLACEMENT = "\ufffd"
# The first byte of a character in UTF-8, read as Latin-1, Windows-1252 or Windows-1251, and what may follow.
_suspect: Final = re.compile("[\u00c2-\u00f4][^\x00-\x7f]|[\u0420\u0421][^\x00-\x7f\u0410-\u044f]").search
# Tag characters are text only in the flags of regions: a black flag, tags, and the tag that ends them.
_FLAG = "\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"
_invisible: Final = re.compile(
    f"({_FLAG})|[\u00ad\u180e\u200b\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
# Unicode's property Default_Ignorable_Code_Point: what a text shows does not depend on them.
_ignorable: Final = re.compile(
    f"({_FLAG})|[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def cleaned(text: str, where: str, line: int, findings: list[Finding]) -> str:
    """The text without control characters and invisible ones; appends a finding for each kind.

    Joiners stay: emoji and Persian words need them. Windows-1252's punctuation that was read as control
    characters becomes the punctuation again, and so does text that was decoded with a wrong encoding.
    """
    if not text.isascii():
        text = _decoded(text, where, line, findings)
    if text.isprintable():  # true for most texts, and cheap to test
        return text
    text, count = _windows.subn(lambda found: _WINDOWS[ord(found[0])], text)
    if count:
        message = f"{_characters(count, 'Windows-1252')} in the {where}, read as Latin-1; this is corrected."
        findings.append(new_finding("windows_characters", line, message))
    text, count = _controls.subn("", text)
    if count:
        message = f"{_characters(count, 'control')} removed from the {where}."
        findings.append(new_finding("control_characters", line, message))
    clean = _invisible.sub(_kept_flag, text)
    if clean != text:
        message = f"{_characters(len(text) - len(clean), 'invisible')} removed from the {where}."
        hidden = "".join(chr(ord(char) - 0xE0000) for char in text if "\U000e0020" <= char <= "\U000e007e")
        told = f" They spell {shown(hidden)}." if hidden and clean.count("\U0001f3f4") == 0 else ""
        findings.append(new_finding("invisible_characters", line, message + told))
    return clean


def _decoded(text: str, where: str, line: int, findings: list[Finding]) -> str:
    """The text as it was before a program decoded its UTF-8 with another encoding; appends the finding."""
    if _suspect(text):
        # Imported only when needed: hardly any text is suspect.
        import ftfy

        # Without its guesses where bytes were lost: what is changed here is trained on.
        config = ftfy.TextFixerConfig(restore_byte_a0=False, replace_lossy_sequences=False)
        fixed = ftfy.fix_encoding(text, config)
        if fixed != text:
            message = f"The {where} was decoded with a wrong encoding; it is corrected to {shown(fixed)}."
            findings.append(new_finding("wrong_encoding", line, message))
            text = fixed
    if lost := text.count(REPLACEMENT):
        message = f"{_characters(lost, 'replacement')} (U+FFFD) in the {where}, where text was lost."
        findings.append(new_finding("lost_characters", line, message))
    return text


def without_ignorable(text: str) -> str:
    """The text without the characters on which what it shows does not depend."""
    return text if text.isascii() else _ignorable.sub(_kept_flag, text)


def _kept_flag(found: re.Match[str]) -> str:
    return found[1] or ""


def _characters(count: int, kind: str) -> str:
    return f"{count:,} {kind} {'characters' if count > 1 else 'character'}"


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

"""Text from outside, made safe to store, to show on a page, and to print on a terminal."""

from __future__ import annotations

import re

_ESCAPE_SEQUENCE = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # operating system command: ends with BEL or ST
    r"|[\x1b\x9b][\[()#;?]*[0-9;:]*[A-Za-z@-~]?"  # control sequence, or an escape and its final byte
)
_SPACE = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_UNSAFE = re.compile(
    "["
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # control characters that are no white space
    "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # marks and overrides of the writing direction
    "\ud800-\udfff"  # half of a surrogate pair: no encoding has it
    "\ufffe\uffff"
    "]"
)


def safe_text(text: str) -> str:
    """Return the text in one line, without control characters, escapes, direction marks and half surrogates.

    Joiners inside emoji and Persian words stay. The result can be encoded as UTF-8.
    """
    return _UNSAFE.sub("", _SPACE.sub(" ", _ESCAPE_SEQUENCE.sub("", text))).strip()

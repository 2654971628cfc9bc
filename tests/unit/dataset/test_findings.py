"""The table of finding codes."""

from __future__ import annotations

from distillery.dataset.findings import CODES

VERBS = frozenset(
    [
        "Add",
        "Check",
        "Convert",
        "Decompress",
        "Drop",
        "Escape",
        "Fix",
        "Ignore",
        "Keep",
        "Label",
        "Make",
        "Remove",
        "Replace",
        "Reword",
        "Round",
        "Run",
        "Save",
        "Scale",
        "Shorten",
        "Split",
        "Use",
        "Vary",
        "Write",
    ]
)


def test_every_code_has_a_meaning_and_a_fix_that_begins_with_a_verb() -> None:
    for code, kind in CODES.items():
        assert code.islower()
        assert kind.meaning.endswith(".")
        assert kind.fix.endswith(".")
        assert kind.fix.split()[0] in VERBS

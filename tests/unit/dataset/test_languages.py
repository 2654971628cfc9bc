"""The language of a query."""

from __future__ import annotations

import pytest

from distillery.dataset.languages import TOO_SHORT, language


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("le chat dort sur le toit rouge de la maison", "fr"),
        ("猫が屋根の上で寝ている動画", "ja"),
        ("кошка спит на красной крыше", "ru"),
        ("A RED KITE CIRCLES\nOVER THE HARBOUR", "en"),
        ("red kite", TOO_SHORT),
        ("4K 60 fps", TOO_SHORT),
        ("", TOO_SHORT),
    ],
)
def test_language_of_a_query(query: str, expected: str) -> None:
    assert language(query) == expected

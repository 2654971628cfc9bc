"""Which templates queries share."""

from __future__ import annotations

from distillery.dataset.query_templates import top_templates
from tests.unit.dataset.datasets import WORDS


def test_template_needs_three_frame_words() -> None:
    assert top_templates([f"the {word} of {other}" for word in WORDS for other in WORDS]) == []
    templates = top_templates(
        [f"How to fix a {word}" for word in WORDS] + [f"{word} at sea" for word in WORDS]
    )
    assert [(template.shape, template.queries) for template in templates] == [("how to fix a _", 30)]

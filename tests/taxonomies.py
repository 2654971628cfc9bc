"""Taxonomies of other sizes than the shipped one, and datasets labelled by them."""

from __future__ import annotations

import json
from pathlib import Path

from distillery.task.channels import Facet, Taxonomy, default_taxonomy
from distillery.task.prompts import student_prompt
from local.models.answers import Teacher

SAMPLES = Path(__file__).parents[1] / "samples"

SIX = Taxonomy(
    subject="video search",
    facets=(
        *default_taxonomy().facets,
        Facet(
            name="on_screen_text",
            description="Words that can be read in the picture: signs, captions, slides, labels.",
            cues=("sign", "slide", "label", "whiteboard", "number plate", "subtitles", "logo"),
            examples=("price label on a shelf",),
        ),
        Facet(
            name="mood",
            description="How it feels: cheerful, tense, calm, sad.",
            cues=("calm", "tense", "cheering", "laughter", "dark", "quiet", "celebration"),
        ),
    ),
    fallback={
        **{name: weight / 2 for name, weight in default_taxonomy().fallback.items()},
        "on_screen_text": 0.25,
        "mood": 0.25,
    },
    label_grid=0.05,
)
TWO = Taxonomy(
    subject="sound search",
    facets=(
        Facet(name="speech", description="What is said.", cues=("says", "explains", "interview", "talk")),
        Facet(name="noise", description="What is heard.", cues=("music", "sound", "loud", "engine", "rain")),
    ),
    fallback={"speech": 0.5, "noise": 0.5},
    label_grid=0.1,
)
BY_SIZE = {2: TWO, 4: default_taxonomy(), 6: SIX}


def dataset(taxonomy: Taxonomy, count: int, mark: str = "") -> bytes:
    """Queries of the sample dataset, labelled by the local teacher with a taxonomy; `mark` makes them new."""
    teacher = Teacher(taxonomy)
    lines = []
    for line in (SAMPLES / "dataset.jsonl").read_text("utf-8").splitlines()[:count]:
        query = f"{json.loads(line)['messages'][0]['content'][0]['text']} {mark}".strip()
        weights, reasoning = teacher.label(query)
        turns = [
            {"role": "user", "content": [{"text": query}]},
            {
                "role": "assistant",
                "content": [{"text": json.dumps({**weights, "reasoning": reasoning})}],
            },
        ]
        record = {
            "schemaVersion": "bedrock-conversation-2024",
            "system": [{"text": student_prompt(taxonomy)}],
            "messages": turns,
        }
        lines.append(json.dumps(record))
    return "".join(f"{line}\n" for line in lines).encode()

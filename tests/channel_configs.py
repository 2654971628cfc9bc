"""Channel configurations with two and six channels, and datasets labelled with them."""

from __future__ import annotations

import json
from pathlib import Path

from distillery.task.channels import Channel, ChannelConfig, default_channel_config
from distillery.task.prompts import student_prompt
from local.models.teacher import Teacher

SAMPLES = Path(__file__).parents[1] / "samples"

SIX = ChannelConfig(
    subject="video search",
    channels=(
        *default_channel_config().channels,
        Channel(
            name="on_screen_text",
            description="Words that can be read in the picture: signs, captions, slides, labels.",
            cues=("sign", "slide", "label", "whiteboard", "number plate", "subtitles", "logo"),
            examples=("price label on a shelf",),
        ),
        Channel(
            name="mood",
            description="How it feels: cheerful, tense, calm, sad.",
            cues=("calm", "tense", "cheering", "laughter", "dark", "quiet", "celebration"),
        ),
    ),
    fallback={
        **{name: weight / 2 for name, weight in default_channel_config().fallback.items()},
        "on_screen_text": 0.25,
        "mood": 0.25,
    },
    label_grid=0.05,
)
TWO = ChannelConfig(
    subject="sound search",
    channels=(
        Channel(name="speech", description="What is said.", cues=("says", "explains", "interview", "talk")),
        Channel(
            name="noise", description="What is heard.", cues=("music", "sound", "loud", "engine", "rain")
        ),
    ),
    fallback={"speech": 0.5, "noise": 0.5},
    label_grid=0.1,
)
BY_SIZE = {2: TWO, 4: default_channel_config(), 6: SIX}


def dataset(channel_config: ChannelConfig, count: int, mark: str = "") -> bytes:
    """Queries of the sample dataset, labelled by the local teacher; `mark` is added to make them distinct."""
    teacher = Teacher(channel_config)
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
            "system": [{"text": student_prompt(channel_config)}],
            "messages": turns,
        }
        lines.append(json.dumps(record))
    return "".join(f"{line}\n" for line in lines).encode()

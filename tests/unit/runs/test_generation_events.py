"""The samples in `events/` for the functions of a generation: each function can read its sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.parser import envelopes, parse
from aws_lambda_powertools.utilities.parser.models import S3EventNotificationEventBridgeModel
from pydantic import TypeAdapter

from distillery.generation.planner import Planned
from distillery.generation.states import spec_dataset, spec_key
from distillery.runs.events import GenerationWatch, LabelsComplete, WatchMessage
from distillery.steps.generation_steps import label_message
from distillery.steps.label_queries import LabelMessage

SAMPLES = Path(__file__).parents[3] / "events"


def sample(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return content


def test_a_dropped_spec_names_its_dataset() -> None:
    parsed = parse(event=sample("spec_created"), model=S3EventNotificationEventBridgeModel)
    assert spec_dataset(parsed.detail.object.key) == "video-queries"
    assert spec_key("video-queries") == parsed.detail.object.key


def test_a_spec_in_a_folder_names_a_dataset_too() -> None:
    assert spec_dataset("specs/team a/films.yaml") == "team-a-films"


def test_labels_complete_is_read() -> None:
    event: Any = parse(
        event=sample("labels_complete"), model=LabelsComplete, envelope=envelopes.EventBridgeEnvelope
    )
    assert event.generation_id == "video-queries-0123456789ab"


def test_label_messages_are_read_and_written_alike() -> None:
    body = sample("label_messages")["Records"][0]["body"]
    message = LabelMessage.model_validate_json(body)
    planned = [Planned(one.number, one.query, "template_group", "channel") for one in message.queries]
    assert json.loads(label_message(message.generation_id, planned)) == json.loads(body)


def test_the_poller_distinguishes_its_two_kinds_of_wait() -> None:
    waits: TypeAdapter[WatchMessage | GenerationWatch] = TypeAdapter(WatchMessage | GenerationWatch)
    found = [
        type(waits.validate_json(record["body"]))
        for name in ("watch_messages", "generation_watch_messages")
        for record in sample(name)["Records"]
    ]
    assert found == [WatchMessage, WatchMessage, GenerationWatch]

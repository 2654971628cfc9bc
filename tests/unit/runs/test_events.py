"""The samples in `events/`: the model of the function that a sample triggers can read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser import envelopes, parse
from aws_lambda_powertools.utilities.parser.models import S3EventNotificationEventBridgeModel

from distillery.runs import events
from distillery.runs.states import Run, Source, State
from distillery.serving.messages import parse_message
from distillery.steps.run_steps import announcement

SAMPLES = Path(__file__).parents[3] / "events"


def sample(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return content


def test_object_created_is_read_with_an_unchanged_key() -> None:
    event = sample("object_created")
    event["detail"]["object"]["key"] = "datasets/my+set/a b.jsonl"
    parsed = parse(event=event, model=S3EventNotificationEventBridgeModel)
    assert parsed.detail.object.key == "datasets/my+set/a b.jsonl"
    assert parsed.detail.object.version_id


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("dataset_validated", events.DatasetValidated),
        ("run_approved", events.RunApproved),
        ("model_deployed", events.ModelDeployed),
        ("evaluation_finished", events.EvaluationFinished),
    ],
)
def test_own_event_is_read(name: str, model: type[events.OwnEvent]) -> None:
    event = sample(name)
    assert event["detail-type"] == model.detail_type
    parsed: Any = parse(event=event, model=model, envelope=envelopes.EventBridgeEnvelope)
    assert parsed.run_id


@pytest.mark.parametrize("name", ["customization_job_completed", "distillation_finished"])
def test_both_wake_ups_of_a_job_name_the_same_job(name: str) -> None:
    model: Any = events.JobWakeUp
    wake_up = parse(event=sample(name), model=model)
    assert wake_up.job_arn.endswith("model-customization-job/amazon.nova-micro-v1:0:128k/abcdefghij12")


def test_watch_messages_are_read() -> None:
    for record in sample("watch_messages")["Records"]:
        assert events.WatchMessage.model_validate_json(record["body"]).deadline.tzinfo


def test_query_messages_are_read() -> None:
    records = sample("query_messages")["Records"]
    assert [len(parse_message(r["body"], r["messageId"]).queries) for r in records] == [1, 2]


@pytest.mark.parametrize("state", sorted(set(State) - {State.RECEIVED, State.RETIRED}))
def test_every_announced_state_has_an_event_with_a_message(state: State) -> None:
    run = Run(
        run_id="set-0123456789ab",
        state=state,
        dataset="set",
        source=Source(bucket="b", key="datasets/set/a.jsonl", version_id="1"),
    )
    event = announcement(run)
    assert type(event) in events.OWN_EVENTS
    assert "set" in event.message
    # The rule that sends the message to SNS puts it between quotation marks.
    assert '"' not in event.message


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        (State.REJECTED, {"reasons": ["No records."]}),
        (State.DUPLICATE, {"duplicate_of": "set-aaaaaaaaaaaa"}),
        (State.TRAINING, {"warnings": ["The teacher is legacy."]}),
        (State.PROMOTED, {"reasons": ["Weight score 4.2."]}),
        (State.NOT_PROMOTED, {"reasons": ["Weight score 1.2."]}),
        (State.FAILED, {"failure": {"step": "deploy_model", "cause": "The deployment failed."}}),
    ],
)
def test_message_of_an_event_states_the_reasons(state: State, changes: dict[str, Any]) -> None:
    run = Run.model_validate(
        {
            "run_id": "set-0123456789ab",
            "state": state,
            "dataset": "set",
            "source": Source(bucket="b", key="datasets/set/a.jsonl", version_id="1"),
            **changes,
        }
    )
    event = announcement(run)
    (value,) = changes.values()
    texts = [value] if isinstance(value, str) else list(value.values() if isinstance(value, dict) else value)
    assert all(text in event.message for text in texts)
    if isinstance(event, events.DatasetRejected):
        assert event.duplicate_of == changes.get("duplicate_of")

"""Datasets that a run rejects, quarantines lines of, or fixes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from distillery.runs.states import State
from tests.local.pipeline.deployed_pipeline import sample_records

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.pipeline.deployed_pipeline import DeployedPipeline


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return a valid dataset with two records changed, which exceeds the tolerated one percent."""
    records = [json.loads(line) for line in sample_records(150, "changed").splitlines()]
    for record in records[2:4]:
        change(record)
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


def with_label(label: str) -> bytes:
    def change(record: dict[str, Any]) -> None:
        record["messages"][1]["content"][0]["text"] = label

    return changed(change)


def with_weights(**weights: Any) -> bytes:
    def change(record: dict[str, Any]) -> None:
        turn = record["messages"][1]["content"][0]
        turn["text"] = json.dumps({**json.loads(turn["text"]), **weights})

    return changed(change)


def weights_summing_to(total: float) -> bytes:
    def change(record: dict[str, Any]) -> None:
        turn = record["messages"][1]["content"][0]
        label = json.loads(turn["text"])
        channels = [name for name in label if name != "reasoning"]
        share = total / len(channels)
        turn["text"] = json.dumps({**label, **dict.fromkeys(channels, share)})

    return changed(change)


def first_channel() -> str:
    record = json.loads(sample_records(1, ""))
    return str(next(iter(json.loads(record["messages"][1]["content"][0]["text"]))))


BAD_DATASETS: dict[str, Callable[[], bytes]] = {
    "a file that is not JSONL": lambda: b"query;weights\nrain;0.5\n" * 100,
    "an empty file": lambda: b"",
    "a binary file": lambda: bytes(range(256)) * 50,
    "a bad encoding": lambda: sample_records(150, "caf").replace(b" caf", b" caf\xe9"),
    "a 16 KB line": lambda: changed(lambda r: r["messages"][0]["content"][0].update(text="x" * 16_001)),
    "a wrong role order": lambda: changed(lambda r: r["messages"].reverse()),
    "a label that is not JSON": lambda: with_label("mostly visual"),
    "weights that sum to 0.7": lambda: weights_summing_to(0.7),
    "an unknown channel": lambda: with_weights(smell=0.0),
    "NaN": lambda: with_weights(**{first_channel(): float("nan")}),
    "a negative weight": lambda: with_weights(**{first_channel(): -0.1}),
    "120 identical prompts": lambda: sample_records(1, "same") * 120,
}


@pytest.mark.parametrize("name", BAD_DATASETS)
def test_invalid_dataset_is_rejected_with_code_message_and_fix(pipeline: DeployedPipeline, name: str) -> None:
    key = f"datasets/bad/{list(BAD_DATASETS).index(name)}.jsonl"
    run = pipeline.reach(pipeline.drop(BAD_DATASETS[name](), key), State.REJECTED)
    report = pipeline.document(run.run_id, "validation.json")
    errors = [finding for finding in report["findings"] if finding["severity"] == "error"]
    assert errors
    assert all(finding["code"] and finding["message"] and finding["fix"] for finding in errors)
    assert run.reasons
    assert pipeline.calls("CreateModelCustomizationJob") == 0


def test_invalid_line_is_quarantined_and_a_fixed_line_is_used(
    pipeline: DeployedPipeline,
) -> None:
    pipeline.faults(job="never")
    content = [*sample_records(150, "quarantine").splitlines(keepends=True), b"not JSON\n"]
    content[3] = content[3].replace(b"quarantine", b"quaran\\u0000tine")
    run = pipeline.reach(pipeline.drop(b"".join(content), "datasets/quarantine/a.jsonl"), State.TRAINING)
    report = pipeline.document(run.run_id, "validation.json")
    assert (report["quarantined"], report["fixed"], report["valid"]) == (1, 1, True)
    assert pipeline.document(run.run_id, "quarantine.jsonl")["line"] == 151
    assert {"fixes.diff", "validation.html"} <= pipeline.keys(run.run_id)


def test_rejection_sends_a_notification(
    pipeline: DeployedPipeline, notification: Callable[[str], str]
) -> None:
    run = pipeline.reach(pipeline.drop(b"", "datasets/notified/empty.jsonl"), State.REJECTED)
    assert "rejected" in notification(run.run_id)

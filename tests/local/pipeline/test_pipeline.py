"""The whole pipeline on the local cloud, with every function limited to its own role."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from distillery.runs.states import CANDIDATES, State
from tests.local.pipeline.deployed_pipeline import SAMPLES, sample_records

if TYPE_CHECKING:
    from tests.local.pipeline.deployed_pipeline import DeployedPipeline


def test_uploaded_dataset_becomes_the_active_model(pipeline: DeployedPipeline) -> None:
    content = (SAMPLES / "dataset.jsonl").read_bytes()
    run = pipeline.reach(pipeline.drop(content, "datasets/sample/first.jsonl"), State.PROMOTED)

    assert [move.state for move in run.history] == [
        State.RECEIVED, State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING, State.PROMOTED,
    ]  # fmt: skip
    assert pipeline.keys(run.run_id) >= {"validation.json", "train.jsonl", "holdout.jsonl", "evaluation.json"}
    evaluation = pipeline.document(run.run_id, "evaluation.json")
    assert set(evaluation["candidates"]) == set(CANDIDATES)
    for candidate in CANDIDATES:
        assert evaluation["candidates"][candidate]["judge_mean"] is not None
        assert f"predictions/{candidate}.jsonl" in pipeline.keys(run.run_id)
    assert "emulated" in " ".join(evaluation["served_by"]).lower()
    page = pipeline.read(run.run_id, "report.html").decode()
    assert "emulated" in page.lower()

    parameter = pipeline.ssm.get_parameter(Name=pipeline.outputs["ActiveModelParameter"])["Parameter"]
    active = json.loads(parameter["Value"])
    assert (active["run_id"], active["model_id"], active["prompt"]) == (
        run.run_id,
        run.deployment_arn,
        "student",
    )
    assert parameter["Version"] == run.active_model_version_after

    assert pipeline.created(run.run_id) == {"jobs": 1, "models": 1, "evaluations": len(CANDIDATES)}


def test_queued_queries_are_answered_by_the_active_model(promoted: DeployedPipeline) -> None:
    # Queries that no other test sends: answers are cached for each model.
    queries = [
        {"query_id": f"answered-{entry['query_id']}", "query": f"{entry['query']}, answered"}
        for entry in map(json.loads, (SAMPLES / "queries.jsonl").read_text("utf-8").splitlines())
    ]
    promoted.send({"queries": queries[:30]}, *queries[30:])
    results = promoted.results(query["query_id"] for query in queries)
    for result in results.values():
        assert result["source"] == "model"
        assert ":custom-model-deployment/" in result["model_id"]
        assert abs(sum(result["weights"].values()) - 1) < 1e-9
        assert result["reasoning"]


def test_run_completes_when_every_bedrock_event_is_lost(pipeline: DeployedPipeline) -> None:
    pipeline.faults(events="lost")
    run = pipeline.reach(
        pipeline.drop(sample_records(300, "lost"), "datasets/lost/a.jsonl"),
        State.PROMOTED,
        State.NOT_PROMOTED,
    )
    assert pipeline.control.state()["events_published"] == 0
    assert run.deployment_arn


@pytest.mark.parametrize(("labels", "text"), [(0, "no labels"), (12, "only 12 labels")])
def test_dataset_with_few_or_no_labels_is_distilled_and_compared_with_the_teacher(
    pipeline: DeployedPipeline, labels: int, text: str
) -> None:
    records = [json.loads(line) for line in sample_records(200, f"with {labels}").splitlines()]
    for record in records[labels:]:
        del record["messages"][1]
    content = "".join(f"{json.dumps(record)}\n" for record in records).encode()
    key = f"datasets/with-{labels}/a.jsonl"
    run = pipeline.reach(pipeline.drop(content, key), State.PROMOTED, State.NOT_PROMOTED)
    assert pipeline.document(run.run_id, "evaluation.json")["reference"] == "teacher"
    assert (run.counts["train"], run.counts["labelled"]) == (200, labels)
    page = pipeline.read(run.run_id, "report.html").decode()
    assert text in page
    assert "compared with the teacher" in page

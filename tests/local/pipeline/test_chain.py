"""The whole chain on the local cloud, with every function held to its own role."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from distillery.runs.states import CANDIDATES, State
from tests.local.pipeline.chain import SAMPLES, sample_records

if TYPE_CHECKING:
    from tests.local.pipeline.chain import Chain


def test_dropped_dataset_becomes_the_router_in_charge(chain: Chain) -> None:
    content = (SAMPLES / "dataset.jsonl").read_bytes()
    run = chain.reach(chain.drop(content, "datasets/sample/first.jsonl"), State.PROMOTED)

    assert [move.state for move in run.history] == [
        State.RECEIVED, State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING, State.PROMOTED,
    ]  # fmt: skip
    assert chain.keys(run.run_id) >= {"validation.json", "train.jsonl", "holdout.jsonl", "evaluation.json"}
    evaluation = chain.document(run.run_id, "evaluation.json")
    assert set(evaluation["candidates"]) == set(CANDIDATES)
    for candidate in CANDIDATES:
        assert evaluation["candidates"][candidate]["judge_mean"] is not None
        assert f"predictions/{candidate}.jsonl" in chain.keys(run.run_id)
    assert "emulated" in " ".join(evaluation["served_by"]).lower()
    page = chain.read(run.run_id, "report.html").decode()
    assert "emulated" in page.lower()

    parameter = chain.ssm.get_parameter(Name=chain.outputs["ActiveModelParameter"])["Parameter"]
    active = json.loads(parameter["Value"])
    assert (active["run_id"], active["model_id"], active["prompt"]) == (
        run.run_id,
        run.deployment_arn,
        "student",
    )
    assert parameter["Version"] == run.active_model_version_after

    assert chain.paid(run.run_id) == {"jobs": 1, "models": 1, "evaluations": len(CANDIDATES)}


def test_queued_queries_are_answered_by_the_promoted_model(promoted: Chain) -> None:
    queries = [json.loads(line) for line in (SAMPLES / "queries.jsonl").read_text("utf-8").splitlines()]
    promoted.send({"queries": queries[:30]}, *queries[30:])
    results = promoted.results(query["query_id"] for query in queries)
    for result in results.values():
        assert result["source"] == "model"
        assert ":custom-model-deployment/" in result["model_id"]
        assert abs(sum(result["weights"].values()) - 1) < 1e-9
        assert result["reasoning"]


def test_run_goes_on_when_every_event_of_bedrock_is_lost(chain: Chain) -> None:
    chain.faults(events="lost")
    run = chain.reach(
        chain.drop(sample_records(300, "lost"), "datasets/lost/a.jsonl"), State.PROMOTED, State.NOT_PROMOTED
    )
    assert chain.control.state()["events_published"] == 0
    assert run.deployment_arn


@pytest.mark.parametrize(("labels", "said"), [(0, "no labels"), (12, "only 12 labels")])
def test_dataset_with_few_labels_or_none_is_distilled_and_measured_against_the_teacher(
    chain: Chain, labels: int, said: str
) -> None:
    records = [json.loads(line) for line in sample_records(200, f"with {labels}").splitlines()]
    for record in records[labels:]:
        del record["messages"][1]
    content = "".join(f"{json.dumps(record)}\n" for record in records).encode()
    key = f"datasets/with-{labels}/a.jsonl"
    run = chain.reach(chain.drop(content, key), State.PROMOTED, State.NOT_PROMOTED)
    assert chain.document(run.run_id, "evaluation.json")["reference"] == "teacher"
    assert (run.counts["train"], run.counts["labelled"]) == (200, labels)
    page = chain.read(run.run_id, "report.html").decode()
    assert said in page
    assert "compared with the teacher" in page

"""Duplicate events, lost events and failures of Bedrock during a run."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from distillery.runs.states import Run, State
from local.cloud import deploy
from tests.local.pipeline.deployed_pipeline import sample_records
from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.pipeline.deployed_pipeline import DeployedPipeline

FINAL = (State.PROMOTED, State.NOT_PROMOTED)


def watch_queue_is_empty(pipeline: DeployedPipeline) -> bool:
    return pipeline.waiting("WatchQueueUrl") == 0


def object_created(pipeline: DeployedPipeline, run: Run) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(
        (Path(__file__).parents[3] / "events" / "object_created.json").read_text("utf-8")
    )
    event["detail"]["bucket"]["name"] = pipeline.outputs["DataBucketName"]
    event["detail"]["object"].update(key=run.source.key, **{"version-id": run.source.version_id})
    return event


def test_duplicate_concurrent_and_late_events_are_one_run_one_job_one_deployment(
    pipeline: DeployedPipeline,
) -> None:
    name = pipeline.drop(sample_records(150, "twice"), "datasets/twice/a.jsonl")
    run = wait_for(lambda: pipeline.run(name), "the run")
    event = object_created(pipeline, run)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: pipeline.invoke("ValidateDatasetFunction", event), range(4)))
    run = pipeline.reach(name, *FINAL)
    pipeline.invoke("ValidateDatasetFunction", event)
    wait_for(lambda: watch_queue_is_empty(pipeline), "the watch queue to be empty")
    final = pipeline.run(name)
    assert final is not None
    assert final.history == run.history
    assert pipeline.created(name) == {"jobs": 1, "models": 1, "evaluations": 3}


def test_same_content_under_another_key_is_a_duplicate_and_starts_no_job(pipeline: DeployedPipeline) -> None:
    pipeline.faults(job="never")
    content = sample_records(150, "duplicate")
    first = pipeline.drop(content, "datasets/duplicate/a.jsonl")
    pipeline.reach(first, State.TRAINING)
    second = pipeline.reach(pipeline.drop(content, "datasets/duplicate/b.jsonl"), State.DUPLICATE)
    assert second.duplicate_of == first
    assert pipeline.created(first)["jobs"] == 1
    assert pipeline.created(second.run_id) == {"jobs": 0, "models": 0, "evaluations": 0}


@pytest.mark.parametrize("events", ["lost", "doubled", "late", "premature"])
def test_run_completes_with_lost_doubled_late_or_premature_bedrock_events(
    pipeline: DeployedPipeline, events: str
) -> None:
    pipeline.faults(events=events, event_delay_seconds=4)
    name = pipeline.drop(sample_records(150, events), f"datasets/events/{events}.jsonl")
    run = pipeline.reach(name, *FINAL)
    assert [move.state for move in run.history][:5] == [
        State.RECEIVED, State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING,
    ]  # fmt: skip
    assert len(run.history) == 6
    assert pipeline.is_deployed(name) is (run.state is State.PROMOTED)
    assert pipeline.created(name) == {"jobs": 1, "models": 1, "evaluations": 3}


def test_event_of_a_foreign_job_is_ignored(pipeline: DeployedPipeline) -> None:
    before = pipeline.calls("GetModelCustomizationJob")
    pipeline.control.event(foreign=True, status="Completed")
    wait_for(lambda: pipeline.calls("GetModelCustomizationJob") > before, "the function to ask for the job")
    assert pipeline.calls("CreateCustomModelDeployment") == 0


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        ({"job": "fail"}, "deploy_model"),
        ({"job": "stop"}, "deploy_model"),
        ({"deployment": "fail"}, "watch_bedrock"),
        ({"evaluation": "fail"}, "promote_model"),
        ({"evaluation": "stop"}, "promote_model"),
    ],
    ids=["job fails", "job is stopped", "deployment fails", "judge fails", "judge is stopped"],
)
def test_failure_in_bedrock_fails_the_run_and_deletes_the_deployment(
    pipeline: DeployedPipeline, notification: Callable[[str], str], fault: dict[str, str], step: str
) -> None:
    pipeline.faults(**fault)
    mark = "-".join(f"{key}-{value}" for key, value in fault.items())
    run = pipeline.reach(pipeline.drop(sample_records(150, mark), f"datasets/{mark}/a.jsonl"), State.FAILED)
    assert run.failure is not None
    assert run.failure.step == step
    assert run.failure.cause
    assert not pipeline.is_deployed(run.run_id)
    assert run.failure.cause[:40] in notification(run.run_id)


@pytest.mark.parametrize(
    ("fault", "state", "stage"),
    [
        ({"job": "never"}, State.TRAINING, "distillation"),
        ({"deployment": "never"}, State.DEPLOYING, "deployment"),
        ({"evaluation": "never"}, State.EVALUATING, "evaluation"),
    ],
)
def test_deadline_fails_the_run_and_its_message_goes_to_the_dead_letter_queue(
    pipeline: DeployedPipeline, fault: dict[str, str], state: State, stage: str
) -> None:
    pipeline.faults(**fault)
    name = pipeline.drop(sample_records(150, f"never {stage}"), f"datasets/never-{stage}/a.jsonl")
    pipeline.reach(name, state)
    overdue = {"run_id": name, "stage": stage, "deadline": (datetime.now(UTC) - timedelta(1)).isoformat()}
    pipeline.sqs.send_message(QueueUrl=pipeline.outputs["WatchQueueUrl"], MessageBody=json.dumps(overdue))
    run = pipeline.reach(name, State.FAILED)
    assert run.failure is not None
    assert "deadline" in run.failure.cause
    assert not pipeline.is_deployed(name)
    assert "deadline" in pipeline.dead_letter(name)["MessageAttributes"]["reason"]["StringValue"]


def test_access_denied_when_the_job_is_created_fails_the_run(pipeline: DeployedPipeline) -> None:
    pipeline.faults(calls=[{"operation": "CreateModelCustomizationJob", "error": "AccessDeniedException"}])
    run = pipeline.reach(
        pipeline.drop(sample_records(150, "denied"), "datasets/denied/a.jsonl"), State.FAILED
    )
    assert run.failure is not None
    assert run.failure.step == "start_distillation"


def test_throttling_when_the_job_is_created_only_delays_the_run(
    pipeline: DeployedPipeline,
) -> None:
    pipeline.faults(
        calls=[{"operation": "CreateModelCustomizationJob", "error": "ThrottlingException", "times": 4}]
    )
    run = pipeline.reach(pipeline.drop(sample_records(150, "busy"), "datasets/busy/a.jsonl"), *FINAL)
    assert run.job_arn


def test_redeployment_with_other_parameters_keeps_runs_queries_and_the_active_model(
    promoted: DeployedPipeline,
) -> None:
    name = promoted.outputs["ActiveModelParameter"]
    before = promoted.ssm.get_parameter(Name=name)["Parameter"]
    promoted.control.settings(job_seconds=20)
    running = promoted.drop(sample_records(150, "redeployed"), "datasets/redeployed/a.jsonl")
    promoted.reach(running, State.TRAINING)
    promoted.faults(calls=[{"operation": "Converse", "error": "ThrottlingException", "times": 12}])
    queued = [f"queued-{number}" for number in range(3)]
    promoted.send(*({"query_id": query_id, "query": f"a lighthouse {query_id}"} for query_id in queued))
    assert deploy(promoted.cloud.endpoint, parameters={"HoldoutMax": "400", "PollIntervalSeconds": "1"}) == (
        promoted.outputs
    )
    promoted.control.settings(job_seconds=1)
    promoted.send({"query_id": "after-redeployment", "query": "a lighthouse in the fog"})
    assert promoted.results(["after-redeployment"])["after-redeployment"]["source"] == "model"
    assert {result["source"] for result in promoted.results(queued).values()} == {"model"}
    after = promoted.ssm.get_parameter(Name=name)["Parameter"]
    assert (after["Value"], after["Version"]) == (before["Value"], before["Version"])
    promoted.reach(running, *FINAL)

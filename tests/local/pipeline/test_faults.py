"""What goes wrong, and what must happen then: one test for each row of the fault table."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from distillery.runs.states import Run, State
from local.cloud import deploy
from tests.local.pipeline.chain import sample_records
from tests.local.tools import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.pipeline.chain import Chain

FINAL = (State.PROMOTED, State.NOT_PROMOTED)


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    """A good dataset with two records changed, which is more than the one percent that is tolerated."""
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
    return next(iter(json.loads(record["messages"][1]["content"][0]["text"])))


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


def watch_queue_is_empty(chain: Chain) -> bool:
    return chain.waiting("WatchQueueUrl") == 0


@pytest.mark.parametrize("name", BAD_DATASETS)
def test_bad_dataset_is_rejected_with_place_and_fix(chain: Chain, name: str) -> None:
    key = f"datasets/bad/{list(BAD_DATASETS).index(name)}.jsonl"
    run = chain.reach(chain.drop(BAD_DATASETS[name](), key), State.REJECTED)
    report = chain.document(run.run_id, "validation.json")
    errors = [finding for finding in report["findings"] if finding["severity"] == "error"]
    assert errors
    assert all(finding["code"] and finding["message"] and finding["fix"] for finding in errors)
    assert run.reasons
    assert chain.calls("CreateModelCustomizationJob") == 0


def test_a_bad_line_is_set_aside_and_a_fixed_one_is_used_and_the_run_goes_on(chain: Chain) -> None:
    chain.faults(job="never")
    content = [*sample_records(150, "aside").splitlines(keepends=True), b"not JSON\n"]
    content[3] = content[3].replace(b"aside", b"asi\\u0000de")
    run = chain.reach(chain.drop(b"".join(content), "datasets/aside/a.jsonl"), State.TRAINING)
    report = chain.document(run.run_id, "validation.json")
    assert (report["quarantined"], report["fixed"], report["valid"]) == (1, 1, True)
    assert chain.document(run.run_id, "quarantine.jsonl")["line"] == 151
    assert {"fixes.diff", "validation.html"} <= chain.keys(run.run_id)


def test_rejection_is_told_in_words(chain: Chain, told: Callable[[str], str]) -> None:
    run = chain.reach(chain.drop(b"", "datasets/told/empty.jsonl"), State.REJECTED)
    assert "rejected" in told(run.run_id)


def object_created(chain: Chain, run: Run) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(
        (Path(__file__).parents[3] / "events" / "object_created.json").read_text("utf-8")
    )
    event["detail"]["bucket"]["name"] = chain.outputs["DataBucketName"]
    event["detail"]["object"].update(key=run.source.key, **{"version-id": run.source.version_id})
    return event


def test_same_event_twice_at_once_and_late_is_one_run_one_job_one_deployment(chain: Chain) -> None:
    name = chain.drop(sample_records(150, "twice"), "datasets/twice/a.jsonl")
    run = wait_for(lambda: chain.run(name), "the run")
    event = object_created(chain, run)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: chain.invoke("ValidateDatasetFunction", event), range(4)))
    run = chain.reach(name, *FINAL)
    chain.invoke("ValidateDatasetFunction", event)
    wait_for(lambda: watch_queue_is_empty(chain), "the watch to end")
    final = chain.run(name)
    assert final is not None
    assert final.history == run.history
    assert chain.paid(name) == {"jobs": 1, "models": 1, "evaluations": 3}


def test_same_content_under_another_key_is_a_duplicate_and_starts_no_job(chain: Chain) -> None:
    chain.faults(job="never")
    content = sample_records(150, "duplicate")
    first = chain.drop(content, "datasets/duplicate/a.jsonl")
    chain.reach(first, State.TRAINING)
    second = chain.reach(chain.drop(content, "datasets/duplicate/b.jsonl"), State.DUPLICATE)
    assert second.duplicate_of == first
    assert chain.paid(first)["jobs"] == 1
    assert chain.paid(second.run_id) == {"jobs": 0, "models": 0, "evaluations": 0}


@pytest.mark.parametrize("events", ["lost", "doubled", "late", "premature"])
def test_bedrock_event_that_is_lost_doubled_late_or_untrue_does_not_matter(chain: Chain, events: str) -> None:
    chain.faults(events=events, event_delay_seconds=4)
    name = chain.drop(sample_records(150, events), f"datasets/events/{events}.jsonl")
    run = chain.reach(name, *FINAL)
    assert [move.state for move in run.history][:5] == [
        State.RECEIVED, State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING,
    ]  # fmt: skip
    assert len(run.history) == 6
    assert chain.deployed(name) is (run.state is State.PROMOTED)
    assert chain.paid(name) == {"jobs": 1, "models": 1, "evaluations": 3}


def test_event_of_somebody_elses_job_is_not_acted_upon(chain: Chain) -> None:
    before = chain.calls("GetModelCustomizationJob")
    chain.control.event(foreign=True, status="Completed")
    wait_for(lambda: chain.calls("GetModelCustomizationJob") > before, "the function to ask for the job")
    assert chain.calls("CreateCustomModelDeployment") == 0


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
def test_failure_in_bedrock_fails_the_run_and_leaves_nothing_deployed(
    chain: Chain, told: Callable[[str], str], fault: dict[str, str], step: str
) -> None:
    chain.faults(**fault)
    mark = "-".join(f"{key}-{value}" for key, value in fault.items())
    run = chain.reach(chain.drop(sample_records(150, mark), f"datasets/{mark}/a.jsonl"), State.FAILED)
    assert run.failure is not None
    assert run.failure.step == step
    assert run.failure.cause
    assert not chain.deployed(run.run_id)
    assert run.failure.cause[:40] in told(run.run_id)


@pytest.mark.parametrize(
    ("fault", "state", "stage"),
    [
        ({"job": "never"}, State.TRAINING, "distillation"),
        ({"deployment": "never"}, State.DEPLOYING, "deployment"),
        ({"evaluation": "never"}, State.EVALUATING, "evaluation"),
    ],
)
def test_wait_that_outlasts_its_deadline_fails_the_run_and_is_kept(
    chain: Chain, fault: dict[str, str], state: State, stage: str
) -> None:
    chain.faults(**fault)
    name = chain.drop(sample_records(150, f"never {stage}"), f"datasets/never-{stage}/a.jsonl")
    chain.reach(name, state)
    overdue = {"run_id": name, "stage": stage, "deadline": (datetime.now(UTC) - timedelta(1)).isoformat()}
    chain.sqs.send_message(QueueUrl=chain.outputs["WatchQueueUrl"], MessageBody=json.dumps(overdue))
    run = chain.reach(name, State.FAILED)
    assert run.failure is not None
    assert "deadline" in run.failure.cause
    assert not chain.deployed(name)
    assert "deadline" in chain.letter(name)["MessageAttributes"]["reason"]["StringValue"]


def test_access_denied_when_the_job_is_created_fails_the_run(chain: Chain) -> None:
    chain.faults(calls=[{"operation": "CreateModelCustomizationJob", "error": "AccessDeniedException"}])
    run = chain.reach(chain.drop(sample_records(150, "denied"), "datasets/denied/a.jsonl"), State.FAILED)
    assert run.failure is not None
    assert run.failure.step == "start_distillation"


def test_bedrock_that_throttles_while_the_job_is_created_delays_the_run_only(chain: Chain) -> None:
    chain.faults(
        calls=[{"operation": "CreateModelCustomizationJob", "error": "ThrottlingException", "times": 4}]
    )
    run = chain.reach(chain.drop(sample_records(150, "busy"), "datasets/busy/a.jsonl"), *FINAL)
    assert run.job_arn


@pytest.mark.parametrize(
    "error",
    [
        "ThrottlingException",
        "ServiceUnavailableException",
        "InternalServerException",
        "ModelTimeoutException",
    ],
)
def test_transient_errors_of_the_model_lose_no_query(chain: Chain, error: str) -> None:
    chain.faults(calls=[{"operation": "Converse", "error": error, "every": 3}])
    ids = [f"{error}-{number}" for number in range(20)]
    chain.send(*({"query_id": query_id, "query": f"rain {query_id}"} for query_id in ids))
    results = chain.results(ids)
    assert {result["source"] for result in results.values()} == {"model"}


def test_query_message_that_can_never_be_answered_is_kept_with_the_reason_once(chain: Chain) -> None:
    chain.send("not json at all", {"query_id": "neighbour", "query": "a quiet harbour"}, {"colour": "blue"})
    chain.send({"query_id": "too-long", "query": "x" * 1_001})
    chain.results(["neighbour"])
    for body in ("not json at all", "colour", "too-long"):
        letter = chain.letter(body)
        assert letter["MessageAttributes"]["reason"]["StringValue"]
    wait_for(lambda: chain.waiting("QueryQueueUrl") == 0, "the queue to be empty")
    assert chain.waiting("DeadLetterQueueUrl") == 0


def test_function_that_dies_in_the_middle_of_a_batch_leaves_exactly_one_result_a_message(
    chain: Chain,
) -> None:
    chain.faults(calls=[{"operation": "Converse", "delay_seconds": 2, "times": 12}])
    ids = [f"dying-{number}" for number in range(12)]
    chain.send(*({"query_id": query_id, "query": f"a storm {query_id}"} for query_id in ids))
    wait_for(lambda: chain.calls("Converse") > 0, "the router to ask")
    for process in router_processes():
        os.kill(process, signal.SIGKILL)
    results = chain.results(ids, seconds=180)
    assert set(results) == set(ids)
    wait_for(lambda: chain.waiting("QueryQueueUrl") == 0, "the queue to be empty")


def router_processes() -> list[int]:
    """Processes that run the router now."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"AWS_LAMBDA_FUNCTION_NAME=" in environment and b"RouteQueries" in environment:
            found.append(int(folder.name))
    assert found
    return found


def test_stack_deployed_again_with_other_parameters_leaves_everything_running(promoted: Chain) -> None:
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


def test_active_model_that_names_a_deployment_that_is_gone_leaves_queries_to_the_baseline(
    chain: Chain, active_model: Callable[[str | None], None]
) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abcdefghijkl"
    active_model(json.dumps({"run_id": "gone", "model_id": arn, "prompt": "student"}))
    chain.send({"query_id": "gone", "query": "a violin in an empty hall"})
    result = chain.results(["gone"])["gone"]
    assert (result["source"], "haiku" in result["model_id"]) == ("model", True)


def test_active_model_that_is_missing_leaves_queries_to_the_baseline(
    chain: Chain, active_model: Callable[[str | None], None]
) -> None:
    active_model(None)
    chain.send({"query_id": "missing", "query": "a violin in a full hall"})
    result = chain.results(["missing"])["missing"]
    assert (result["source"], "haiku" in result["model_id"]) == ("model", True)


def test_no_usable_model_answers_with_the_fallback_weights_and_loses_no_query(
    chain: Chain, active_model: Callable[[str | None], None]
) -> None:
    active_model("{}")
    chain.faults(calls=[{"operation": "Converse", "error": "AccessDeniedException"}])
    chain.send({"query_id": "fallback", "query": "a violin in a cellar"})
    assert chain.results(["fallback"])["fallback"]["source"] == "fallback"

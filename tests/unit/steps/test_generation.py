"""A generation step by step: what is planned, paid, stored, stopped, continued and said."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from distillery.aws.clients import AccessDenied
from distillery.aws.stack_config import PRICES_KEY
from distillery.aws.tables import Entries
from distillery.errors import Permanent, Transient
from distillery.generation.states import GENERATION_MOVES, Generation, GenerationState, generation_key
from distillery.runs.states import Source, now, run_id
from distillery.steps import generation_steps, plan_dataset, watch_generation
from distillery.steps.generation_steps import announcement
from tests.specs import spec_text
from tests.unit.generating import MODEL, Workshop
from tests.unit.steps.test_route_queries import Context

if TYPE_CHECKING:
    from tests.unit.fakes import Surroundings

SMALL = spec_text(records=100, oversample=0.1)
PLANNED = 110


@pytest.fixture
def shop(cloud: Surroundings, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    # DynamoDB takes the writes to one item one after the other; moto does not.
    lock, write = threading.Lock(), Entries._write

    def one_by_one(self: Entries, *arguments: Any) -> Any:
        with lock:
            return write(self, *arguments)

    monkeypatch.setattr(Entries, "_write", one_by_one)
    boto3.client("s3").put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
    return Workshop(cloud)


def summary(name: str) -> Any:
    answer = boto3.client("s3").get_object(Bucket="data", Key=generation_key(name, "summary.json"))
    return json.loads(answer["Body"].read())


# -- the whole way


def test_a_spec_becomes_a_dataset_whose_run_is_known(shop: Workshop) -> None:
    name = shop.begun(SMALL)
    planned = shop.generation(name)
    assert planned.state is GenerationState.LABELLING
    assert planned.counts == {"planned": PLANNED, "invented": 0}
    assert shop.label() == []
    assert shop.watch(name) is False
    made = shop.assemble(name)
    assert made.state is GenerationState.ASSEMBLED
    assert made.counts["records"] == 100
    assert shop.teacher.calls == PLANNED
    assert shop.datasets() == [made.dataset_key]
    version = boto3.client("s3").head_object(Bucket="data", Key=made.dataset_key or "")["VersionId"]
    assert made.run_id == run_id("data", made.dataset_key or "", version)
    labels = shop.generating.labels.all(name)
    cost = sum(label.cost_usd for label in labels)
    assert made.spent == pytest.approx(cost)
    assert summary(name)["spent_usd"] == pytest.approx(cost, abs=1e-6)
    assert shop.watch(name) is True
    assert shop.cloud.heard() == {"Dataset Planned": 1, "Labels Complete": 1, "Dataset Generated": 1}
    assert shop.letters() == []


def test_the_bucket_keeps_spec_channel_config_and_plan(shop: Workshop) -> None:
    name = shop.begun(SMALL)
    keys = shop.generating.bucket.keys(generation_key(name, ""))
    assert [key.rsplit("/", 1)[1] for key in keys] == ["channels.yaml", "plan.jsonl", "spec.yaml"]
    assert len(shop.generating.plan(name)) == PLANNED


# -- planning


def test_a_spec_that_cannot_be_used_is_rejected_in_words_once(shop: Workshop) -> None:
    source = shop.drop("records: 5")
    for _ in range(2):
        rejected = shop.plan(source)
    assert rejected.state is GenerationState.REJECTED
    assert "records must be at least 100" in rejected.reasons[0]
    assert shop.cloud.heard() == {"Generation Failed": 1}
    assert shop.teacher.calls == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": ["visual", "smell"]}, "the channel configuration has no channel 'smell'"),
        ({"records": 15_000}, "material is too little"),
    ],
)
def test_a_spec_that_cannot_be_planned_is_rejected_in_words(
    shop: Workshop, changes: dict[str, Any], said: str
) -> None:
    rejected = shop.plan(shop.drop(spec_text(**changes)))
    assert rejected.state is GenerationState.REJECTED
    assert said in rejected.reasons[0]
    assert shop.received() == []


def test_a_teacher_without_a_price_is_refused_before_it_is_asked(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.generating.MODEL", "somebody.unknown-v1:0")
    failed = shop.plan(shop.drop(SMALL))
    assert failed.state is GenerationState.FAILED
    assert "No price is known for the teacher somebody.unknown-v1:0" in failed.reasons[0]


def test_the_stacks_own_prices_count_against_the_cap(shop: Workshop) -> None:
    prices = (
        "as_of: 2027-01-02\ncurrency: USD\nmodels:\n"
        f"  - {{ids: [{MODEL}], input: 8.0, output: 32.0, source: our bill}}\n"
    )
    boto3.client("s3").put_object(Bucket="data", Key=PRICES_KEY, Body=prices.encode())
    planned = shop.plan(shop.drop(SMALL))
    assert planned.price is not None
    assert (planned.price.input, planned.price.output) == (8.0, 32.0)


def test_the_same_event_twice_is_one_plan(shop: Workshop) -> None:
    source = shop.drop(SMALL)
    first, second = shop.plan(source), shop.plan(source)
    assert first.generation_id == second.generation_id
    assert len(shop.received()) == PLANNED / 10
    assert shop.cloud.heard() == {"Dataset Planned": 1}


def test_the_same_spec_again_is_silence_when_it_is_done(shop: Workshop) -> None:
    name = shop.begun(SMALL)
    shop.label()
    made = shop.assemble(name)
    shop.cloud.heard()
    again = shop.plan(shop.drop(SMALL))
    assert again.generation_id == name
    assert again.state is GenerationState.ASSEMBLED
    assert again.history == made.history
    assert shop.received() == []
    assert shop.cloud.heard() == {}
    assert len(shop.datasets()) == 1


def test_a_planner_that_died_is_taken_up_by_the_next_delivery(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> bytes:
        raise RuntimeError("the function is gone")

    source = shop.drop(SMALL)
    with monkeypatch.context() as dying:
        dying.setattr(plan_dataset, "dump_plan", die)
        with pytest.raises(RuntimeError):
            shop.plan(source)
    assert shop.generation(shop.name(SMALL)).state is GenerationState.PLANNING
    assert shop.plan(source).state is GenerationState.LABELLING
    assert len(shop.received()) == PLANNED / 10


def test_a_planner_that_died_for_good_fails_the_generation(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = shop.name(SMALL)
    shop.generating.generations.receive(name, shop.drop(SMALL), step="plan_dataset", teacher=MODEL)
    assert shop.watch(name) is False
    monkeypatch.setattr(watch_generation, "PLANNING_TIME", timedelta())
    assert shop.watch(name) is True
    assert shop.generation(name).state is GenerationState.FAILED
    assert shop.cloud.heard() == {"Generation Failed": 1}
    assert shop.plan(shop.drop(SMALL)).state is GenerationState.LABELLING


def test_queries_that_a_dead_planner_did_not_queue_are_queued_by_the_watch(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = shop.begun(SMALL)
    for record in shop.received(8):  # lost
        boto3.client("sqs").delete_message(
            QueueUrl=shop.settings.label_queue_url, ReceiptHandle=record["receiptHandle"]
        )
    shop.label()
    assert shop.generating.labels.count(name) == 30
    assert shop.watch(name) is False
    assert shop.received() == []
    monkeypatch.setattr(watch_generation, "REQUEUE_AFTER", timedelta())
    assert shop.watch(name) is False
    shop.label()
    assert shop.assemble(name).state is GenerationState.ASSEMBLED
    assert set(shop.teacher.asked.values()) == {1}


def test_the_teacher_invents_what_the_spec_allows_and_is_paid_once(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = spec_text(records=100, oversample=0, teacher_queries=0.2)

    def die(*_: object) -> bytes:
        raise RuntimeError("the function is gone")

    source = shop.drop(text)
    with monkeypatch.context() as dying:
        dying.setattr(plan_dataset, "dump_plan", die)
        with pytest.raises(RuntimeError):
            shop.plan(source)
    planned = shop.plan(source)
    assert shop.teacher.calls == 4 == shop.teacher.asked["Part 1 of the list."]
    assert planned.counts == {"planned": 100, "invented": 20}
    assert planned.invented_usd > 0
    assert planned.cost == planned.invented_usd
    template_groups = [one.template_group for one in shop.generating.plan(planned.generation_id)]
    assert template_groups.count("teacher") == 20


# -- labelling


def test_a_message_delivered_twice_is_paid_once(shop: Workshop) -> None:
    name = shop.begun(SMALL)
    records = shop.received()
    shop.label(records)
    spent = shop.generation(name).spent
    assert shop.label(records) == []
    assert shop.teacher.calls == PLANNED
    assert shop.generation(name).spent == spent


def test_two_deliveries_at_once_are_paid_once(shop: Workshop) -> None:
    shop.begun(SMALL)
    records = shop.received(2)
    gate = threading.Barrier(2, timeout=10)

    def deliver(_: int) -> list[str]:
        gate.wait()
        return shop.label(records)

    with ThreadPoolExecutor(2) as pool:
        back = [body for bodies in pool.map(deliver, range(2)) for body in bodies]
    assert shop.teacher.calls == 20
    assert shop.label([record for record in records if record["body"] in back]) == []
    assert shop.teacher.calls == 20


def test_throttling_brings_back_the_message_alone_and_pays_for_no_query_twice(shop: Workshop) -> None:
    name = shop.begun(SMALL)
    throttled = shop.generating.plan(name)[4].query
    shop.teacher.script = lambda q, n: Transient("Too many.") if q == throttled and n == 1 else None
    back = shop.label()
    assert len(back) == 1
    assert throttled in [queued["query"] for queued in json.loads(back[0])["queries"]]
    assert shop.generating.labels.count(name) == PLANNED - 1
    shop.generating.queue_missing(name, shop.generating.plan(name))
    assert shop.label() == []
    assert {count for query, count in shop.teacher.asked.items() if query != throttled} == {1}


def test_an_unreadable_answer_is_asked_for_once_more_then_recorded_with_its_reason(shop: Workshop) -> None:
    name = shop.begun(SMALL)
    plan = shop.generating.plan(name)
    once, always = plan[0].query, plan[1].query
    shop.teacher.script = lambda q, n: "I'd rather not" if q == always or (q == once and n == 1) else None
    shop.label()
    labels = {label.query: label for label in shop.generating.labels.all(name)}
    assert labels[once].weights
    assert labels[always].weights is None
    assert "holds no weights" in labels[always].reason
    assert shop.teacher.asked[once] == shop.teacher.asked[always] == 2
    made = shop.assemble(name)
    assert made.state is GenerationState.ASSEMBLED
    assert made.counts["unlabelled"] == 1
    assert summary(name)["unlabelled"][0]["query"] == always


def test_a_query_that_is_refused_is_recorded_and_the_others_go_on(shop: Workshop) -> None:
    name = shop.begun(SMALL)
    refused = shop.generating.plan(name)[0].query
    shop.teacher.script = lambda q, _: Permanent("This content is blocked.") if q == refused else None
    shop.label()
    label = next(label for label in shop.generating.labels.all(name) if label.weights is None)
    assert (label.query, label.reason) == (refused, "This content is blocked.")
    assert shop.assemble(name).state is GenerationState.ASSEMBLED
    assert shop.letters() == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "no message of queries to label"),
        ('{"generation_id": "x", "queries": []}', "no message of queries to label"),
        ('{"generation_id": "x", "queries": [{"number": 1, "query": "a"}]}', "knows no generation x"),
    ],
)
def test_a_message_that_can_never_be_dealt_with_is_buried_with_its_reason(
    shop: Workshop, body: str, said: str
) -> None:
    shop.generating.label_queue.send([body])
    assert shop.label() == []
    assert [said in reason for reason in shop.letters()] == [True]


def test_what_comes_back_too_often_is_buried_and_known_to_be_missing(shop: Workshop) -> None:
    name = shop.begun(SMALL)
    shop.teacher.script = lambda _, __: Transient("Too many.")
    records = shop.received(1)
    records[0]["attributes"]["ApproximateReceiveCount"] = "15"
    assert shop.label(records) == []
    assert shop.letters() == ["Given up after 15 tries. Too many."]
    shop.teacher.script = lambda _, __: None
    assert shop.generating.queue_missing(name, shop.generating.plan(name)) == PLANNED


def test_no_call_is_started_that_could_outlast_the_function(shop: Workshop) -> None:
    shop.begun(SMALL)
    assert len(shop.label(context=Context(remaining=60_000))) == PLANNED / 10
    assert shop.teacher.calls == 0


# -- stopping, and going on


def test_the_cost_cap_stops_cleanly_with_what_there_is_and_a_higher_one_goes_on(shop: Workshop) -> None:
    cheap = spec_text(records=100, oversample=0.5, max_cost_usd=0.18)
    name = shop.begun(cheap)
    while records := shop.received(1):
        assert shop.label(records) == []
    capped = shop.generation(name)
    assert capped.is_capped
    assert capped.cost < 0.18 + 10 * 0.002  # what one message may still have under way
    assert shop.letters() == []
    asked = shop.teacher.calls
    assert 100 <= asked < 150
    assert shop.watch(name) is False
    stopped = shop.assemble(name)
    assert stopped.state is GenerationState.STOPPED
    assert "The cost cap of $0.18 was reached." in stopped.reasons
    assert stopped.run_id
    assert shop.watch(name) is True

    assert shop.plan(shop.drop(cheap)).state is GenerationState.STOPPED
    assert shop.received() == []
    more = shop.plan(shop.drop(spec_text(records=100, oversample=0.5, max_cost_usd=5)))
    assert more.generation_id == name
    assert more.state is GenerationState.LABELLING
    shop.label()
    made = shop.assemble(name)
    assert made.state is GenerationState.ASSEMBLED
    assert set(shop.teacher.asked.values()) == {1}
    assert shop.teacher.calls == 150
    assert shop.cloud.heard() == {
        "Dataset Planned": 2,
        "Labels Complete": 1,
        "Generation Stopped": 1,
        "Dataset Generated": 1,
    }


def test_too_few_labels_make_no_dataset_and_say_so(shop: Workshop) -> None:
    name = shop.begun(spec_text(records=100, max_cost_usd=0.02))
    shop.label()
    stopped = shop.assemble(name)
    assert stopped.state is GenerationState.STOPPED
    assert stopped.dataset_key is None
    assert stopped.run_id is None
    assert "A dataset has 100 records at least." in stopped.reasons
    assert shop.datasets() == []


def test_the_deadline_stops_what_is_not_in_and_a_later_drop_goes_on(shop: Workshop) -> None:
    name = shop.begun(SMALL)
    shop.label(shop.received(5))
    shop.generating.generations.note(name, deadline=(now() - timedelta(minutes=1)).isoformat())
    assert shop.label() == []
    assert shop.teacher.calls == 50
    shop.watch(name)
    stopped = shop.assemble(name)
    assert stopped.state is GenerationState.STOPPED
    assert "The deadline has passed" in stopped.reasons[0]
    assert shop.plan(shop.drop(SMALL)).state is GenerationState.LABELLING
    shop.label()
    assert shop.assemble(name).state is GenerationState.ASSEMBLED
    assert shop.teacher.calls == PLANNED


def test_a_teacher_that_cannot_be_asked_stops_the_generation_until_it_can(shop: Workshop) -> None:
    name = shop.begun(SMALL)
    shop.label(shop.received(4))
    shop.teacher.script = lambda _, __: AccessDenied("You may not.")
    assert shop.label(shop.received(1)) == []
    assert shop.letters() == ["You may not."]
    refused = shop.teacher.calls
    assert shop.label() == []
    assert shop.teacher.calls == refused
    assert shop.assemble(name).state is GenerationState.STOPPED
    assert shop.generation(name).reasons[0] == "The teacher cannot be asked. You may not."
    shop.teacher.script = lambda _, __: None
    assert shop.plan(shop.drop(SMALL)).state is GenerationState.LABELLING
    shop.label()
    assert shop.assemble(name).state is GenerationState.ASSEMBLED
    assert len(shop.generating.labels.all(name)) == PLANNED
    assert shop.teacher.calls == PLANNED + refused - 40


def test_a_redelivered_drop_does_not_set_a_stopped_generation_going(shop: Workshop) -> None:
    source = shop.drop(SMALL)
    name = shop.plan(source).generation_id
    shop.generating.generations.note(name, halted="It was halted.")
    shop.assemble(name)
    assert shop.plan(source).state is GenerationState.STOPPED


# -- assembling


def test_the_event_is_a_wake_up_and_labels_under_way_are_waited_for(shop: Workshop) -> None:
    name = shop.begun(SMALL)
    shop.label(shop.received(10))
    assert shop.assemble(name).state is GenerationState.LABELLING
    assert shop.datasets() == []


def test_assembling_twice_writes_one_object_with_one_version(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = shop.begun(SMALL)
    shop.label()

    def die(*_: object, **__: object) -> None:
        raise RuntimeError("the function is gone")

    with monkeypatch.context() as dying:
        dying.setattr(type(shop.generating.generations), "move", die)
        with pytest.raises(RuntimeError):
            shop.assemble(name)
    assert len(shop.datasets()) == 1
    made = shop.assemble(name)
    assert made.state is GenerationState.ASSEMBLED
    assert shop.datasets() == [made.dataset_key]


def test_an_end_that_was_not_said_is_said_by_the_watch(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = shop.begun(SMALL)
    shop.label()

    def die(*_: object) -> None:
        raise RuntimeError("the function is gone")

    with monkeypatch.context() as dying:
        dying.setattr(generation_steps.Bus, "say", die)
        with pytest.raises(RuntimeError):
            shop.assemble(name)
    assert shop.watch(name) is True
    assert shop.cloud.heard()["Dataset Generated"] == 1


def test_a_wait_for_a_generation_that_never_was_is_kept_for_a_person(shop: Workshop) -> None:
    assert shop.watch("nobody-000000000000") is True
    assert shop.letters() == ["The ledger knows no generation nobody-000000000000."]


@pytest.mark.parametrize("state", sorted(set(GenerationState) - {GenerationState.PLANNING}))
def test_every_state_but_planning_is_announced_in_words(state: GenerationState) -> None:
    generation = Generation(
        generation_id="small-0123456789ab",
        state=state,
        dataset="small",
        source=Source(bucket="data", key="specs/small.yaml"),
    )
    assert "small" in announcement(generation).message
    assert set(GENERATION_MOVES) == set(GenerationState)

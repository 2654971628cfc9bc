"""From a spec to a run on the local cloud; the teacher throttles, rambles, dies and costs too much."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from distillery.generation.states import GenerationState
from distillery.runs.states import State
from distillery.task.answers import parse_routing
from distillery.task.channels import default_channel_config
from distillery.task.weights import dominant
from tests.local.pipeline.generations import Workbench
from tests.local.tools import wait_for
from tests.specs import spec_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.pipeline.chain import Chain

CHANNEL_CONFIG = default_channel_config()


@pytest.fixture
def bench(chain: Chain) -> Workbench:
    """The stack, quick to look again."""
    return Workbench(chain)


def test_a_small_spec_becomes_a_dataset_and_a_run(bench: Workbench) -> None:
    hard = {"typos": 0.05, "mixed_intent": 0.05, "adversarial": 0.05, "very_long": 0.05}
    name = bench.drop("small", spec_text(records=150, hard=hard))
    made = bench.reach(name, GenerationState.ASSEMBLED)
    records = bench.dataset(made)
    assert len(records) == 150
    assert made.counts["labelled"] == made.counts["planned"] == 180
    assert bench.asked() >= 180
    leading = Counter(
        dominant(parse_routing(r["messages"][1]["content"][0]["text"], CHANNEL_CONFIG.names).weights)
        for r in records
    )
    assert all(abs(leading[channel] / 150 - 0.25) <= 0.02 for channel in CHANNEL_CONFIG.names)
    assert made.spent == pytest.approx(sum(label.cost_usd for label in bench.labels.all(name)))
    assert bench.document(name, "summary.json")["run_id"] == made.run_id
    run = bench.chain.reach(made.run_id or "", State.PROMOTED, State.NOT_PROMOTED)
    assert run.counts["labelled"] == 150


def test_a_teacher_that_throttles_every_third_call_labels_them_all_in_the_end(bench: Workbench) -> None:
    bench.chain.faults(calls=[{"operation": "Converse", "error": "ThrottlingException", "every": 3}])
    name = bench.drop("throttled", spec_text(records=100, oversample=0.1, seed=2))
    made = bench.reach(name, GenerationState.ASSEMBLED, seconds=120)
    assert made.counts["labelled"] == made.planned == 110
    assert bench.chain.waiting("LabelQueueUrl") == 0


def test_junk_answers_are_asked_for_once_more_and_what_stays_junk_is_recorded(bench: Workbench) -> None:
    bench.chain.faults(calls=[{"operation": "Converse", "text": "I would rather not say.", "every": 2}])
    name = bench.drop("junk", spec_text(records=100, oversample=1, seed=3))
    made = bench.reach(name, GenerationState.ASSEMBLED)
    labels = bench.labels.all(name)
    unlabelled = [label for label in labels if label.weights is None]
    assert len(labels) == made.planned == 200
    assert made.counts["records"] == 100
    assert all("I would rather not say." in label.reason for label in unlabelled)
    assert bench.document(name, "summary.json")["counts"]["unlabelled"] == len(unlabelled)


def test_a_teacher_that_dies_half_way_stops_it_and_the_spec_again_goes_on_paying_nothing_twice(
    bench: Workbench,
) -> None:
    text = spec_text(records=150, seed=4)
    # Slow enough that it is caught half way.
    bench.chain.faults(calls=[{"operation": "Converse", "delay_seconds": 0.4}])
    name = bench.drop("dying", text)
    bench.labelled(name, 20)
    bench.chain.faults(calls=[{"operation": "Converse", "error": "AccessDeniedException"}])
    stopped = bench.reach(name, GenerationState.STOPPED)
    assert "The teacher cannot be called." in stopped.reasons[0]
    bench.chain.letter(name)
    had = bench.settled(name)
    assert 20 <= had < 180
    bench.chain.control.reset()
    assert bench.drop("dying", text) == name
    made = bench.reach(name, GenerationState.ASSEMBLED)
    assert made.counts["labelled"] == 180
    assert made.counts["records"] == 150
    # Each query is asked for once: those that had their label before are not asked for again.
    assert bench.asked() == 180 - had


def test_the_cost_cap_stops_it_cleanly_and_a_higher_one_goes_on(bench: Workbench) -> None:
    letters = bench.chain.waiting("DeadLetterQueueUrl")
    name = bench.drop("capped", spec_text(records=150, seed=5, max_cost_usd=0.1))
    stopped = bench.reach(name, GenerationState.STOPPED)
    assert "The cost cap of $0.1 was reached." in stopped.reasons
    had = bench.settled(name)
    assert had < 180
    assert bench.chain.waiting("DeadLetterQueueUrl") == letters
    asked = bench.asked()
    assert bench.drop("capped", spec_text(records=150, seed=5, max_cost_usd=5)) == name
    made = bench.reach(name, GenerationState.ASSEMBLED)
    assert made.counts["records"] == 150
    assert bench.asked() - asked == 180 - had


def test_the_same_spec_twice_is_one_generation_one_dataset_one_run(bench: Workbench) -> None:
    text = spec_text(records=100, oversample=0.1, seed=6)
    name = bench.drop("same-spec-twice", text)
    assert bench.drop("same-spec-twice", text) == name
    made = bench.reach(name, GenerationState.ASSEMBLED)
    assert bench.drop("same-spec-twice", text) == name
    wait_for(
        lambda: len(bench.run_store.get(name).versions) > len(made.versions) or None, "the last drop", 30
    )
    assert bench.run_store.get(name).history == made.history
    assert bench.datasets("same-spec-twice") == [made.dataset_key]
    assert bench.asked() == 110
    assert bench.chain.reach(made.run_id or "", State.PROMOTED, State.NOT_PROMOTED)


def test_people_hear_of_a_spec_that_cannot_be_used(bench: Workbench, told: Callable[[str], str]) -> None:
    bench.chain.s3.put_object(
        Bucket=bench.chain.outputs["DataBucketName"], Key="specs/wrong.yaml", Body=b"records: 5"
    )
    assert "records must be at least 100" in told("The spec of Dataset 'wrong'")

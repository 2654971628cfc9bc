"""One fault at each call of the generator, and its steps interleaved with each other and with drops."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from distillery.generation.states import GenerationState
from tests.races.cloud import Invocation
from tests.races.generation_pipeline import CALL_USD, GenerationPipeline, spec
from tests.races.grid import EXPLORE, sample, single_faults, until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.races.grid import Fault, World

    Act = Callable[[GenerationPipeline], None]
    Start = Callable[[GenerationPipeline], Callable[[Invocation], None]]

ENOUGH, LITTLE = spec(), spec(max_cost_usd=2.5 * CALL_USD)
CALLS_UNTIL_CAPPED = 3
STORE = 6
"""Number of the call that stores the first label of a batch."""
ASSEMBLED, STOPPED = GenerationState.ASSEMBLED, GenerationState.STOPPED


def complete(pipeline: GenerationPipeline) -> None:
    pipeline.drop(content=ENOUGH)
    pipeline.settle()


def capped(pipeline: GenerationPipeline) -> None:
    pipeline.drop(content=LITTLE)
    pipeline.settle()


def failed(pipeline: GenerationPipeline) -> None:
    pipeline.cloud.outages["s3.put_object"] = "AccessDenied"
    complete(pipeline)
    pipeline.cloud.outages.clear()


def capped_then_complete(pipeline: GenerationPipeline) -> None:
    capped(pipeline)
    complete(pipeline)


def failed_then_complete(pipeline: GenerationPipeline) -> None:
    failed(pipeline)
    complete(pipeline)


def recorded(world: World, scenario: Act) -> list[tuple[str, Invocation]]:
    with world() as account:
        pipeline = GenerationPipeline(account.cloud, account.environment)
        scenario(pipeline)
        return pipeline.invocations


def is_between_call_and_record(fault: Fault, invocations: Sequence[tuple[str, Invocation]]) -> bool:
    """Whether the fault hides an answer that was paid for: nothing can prevent a second call."""
    found = [invocation for target, invocation in invocations if target == fault.target][fault.number]
    around = found.calls[max(0, fault.call - 1) : fault.call + 1]
    return "bedrock-runtime.converse" in around


@pytest.mark.parametrize(
    ("scenario", "state", "size"),
    [
        (complete, ASSEMBLED, 3),
        (capped, STOPPED, 1),
        (capped_then_complete, ASSEMBLED, 2),
        (failed_then_complete, ASSEMBLED, 1),
    ],
)
def test_one_fault_at_any_call_leaves_the_end_of_the_generation_as_it_is(
    world: World, scenario: Act, state: GenerationState, size: int
) -> None:
    wrong = []
    invocations = recorded(world, scenario)
    for fault in sample(single_faults(invocations), size):
        with world() as account:
            pipeline = GenerationPipeline(account.cloud, account.environment, plan=fault.plan)
            scenario(pipeline)
            paid_again = int(is_between_call_and_record(fault, invocations))
            found = [*pipeline.generation_violations(paid_again=paid_again, ends=1 + (scenario in TWO_ENDS))]
            if pipeline.generation.state is not state:
                found.append(f"{pipeline.generation.state}: {pipeline.generation.reasons}")
            if scenario is capped and pipeline.cloud.billed.total() > CALLS_UNTIL_CAPPED + paid_again:
                found.append(f"{pipeline.cloud.billed.total()} calls")
            wrong += [f"{fault}: {one}" for one in found]
    assert wrong == []


TWO_ENDS = (capped_then_complete, failed_then_complete)


def invoke(target: str, content: str = ENOUGH) -> Start:
    """Drop a spec and run until a delivery to a function is due. That is what is paused."""

    def start(pipeline: GenerationPipeline) -> Callable[[Invocation], None]:
        pipeline.drop(content=content)
        delivery = until(pipeline, target)
        return lambda invocation: pipeline.invoke(delivery, invocation)

    return start


def label(pipeline: GenerationPipeline) -> Callable[[Invocation], None]:
    """Drop a spec and run until its queries are queued."""
    pipeline.drop(content=ENOUGH)
    while not (messages := pipeline.cloud.queues["label"]):
        pipeline.next_step()
    return lambda invocation: pipeline.label(list(messages), invocation)


def assembly_without_a_recorded_answer(pipeline: GenerationPipeline) -> Callable[[Invocation], None]:
    """Let a function stop before it stores a paid answer, and run until the assembly after the deadline."""
    pay = label(pipeline)
    stopped = Invocation(faults={STORE: "die before"})
    pay(stopped)
    assert stopped.calls[-1] == "dynamodb.transact_write_items"
    pipeline.cloud.clock.shift(timedelta(hours=1))
    pipeline.poll_all()
    (delivery,) = [one for one in pipeline.pending if one.target == "assemble"]
    pipeline.pending.remove(delivery)
    return lambda invocation: pipeline.invoke(delivery, invocation)


def store_and_assemble(pipeline: GenerationPipeline) -> None:
    """Deliver the label messages again, with the recorded answer, and the event of the assembly."""
    pipeline.label(list(pipeline.cloud.queues["label"]))
    same_event("assemble")(pipeline)


def last_poll(pipeline: GenerationPipeline) -> Callable[[Invocation], None]:
    """Drop a spec with a low limit and run until the poller is about to learn that it has stopped."""
    pipeline.drop(content=LITTLE)
    while "assemble" not in pipeline.delivered or pipeline.pending:
        pipeline.next_step()
    (wait,) = pipeline.cloud.queues["watch"]
    return lambda invocation: pipeline.poll(wait, invocation)


def after(scenario: Act, start: Start) -> Start:
    def both(pipeline: GenerationPipeline) -> Callable[[Invocation], None]:
        scenario(pipeline)
        return start(pipeline)

    return both


def same_event(target: str) -> Act:
    """Deliver the event of the function that is paused once more."""

    def act(pipeline: GenerationPipeline) -> None:
        subject = pipeline.subjects[target]
        pipeline.invoke(pipeline.deliver(target, subject))
        pipeline.pending.pop()

    return act


def drop_again(pipeline: GenerationPipeline) -> None:
    """Drop the spec once more with a higher limit, make its plan, and poll."""
    pipeline.drop(content=ENOUGH)
    pipeline.invoke(pipeline.pending.pop())
    pipeline.poll_all()


@pytest.mark.parametrize(
    ("start", "act", "states"),
    [
        (label, GenerationPipeline.pass_deadline, {ASSEMBLED, STOPPED}),
        (invoke("plan"), same_event("plan"), {ASSEMBLED}),
        # The drop that is recorded last counts, and that is the first one if its function is that slow.
        (invoke("plan", LITTLE), drop_again, {ASSEMBLED, STOPPED}),
        (invoke("assemble"), same_event("assemble"), {ASSEMBLED}),
        (invoke("assemble", LITTLE), same_event("assemble"), {STOPPED}),
        (invoke("assemble", LITTLE), drop_again, {ASSEMBLED}),
        (assembly_without_a_recorded_answer, store_and_assemble, {STOPPED}),
        (after(capped, invoke("plan")), GenerationPipeline.poll_all, {ASSEMBLED}),
        (after(failed, invoke("plan")), GenerationPipeline.poll_all, {ASSEMBLED}),
        (after(capped, invoke("plan")), same_event("plan"), {ASSEMBLED}),
        (last_poll, drop_again, {ASSEMBLED}),
    ],
    ids=[
        "deadline during a call",
        "plan twice",
        "drop during planning",
        "assemble twice",
        "assemble twice when capped",
        "drop during assembly",
        "label during assembly",
        "poll during a drop of a stopped one",
        "poll during a drop of a failed one",
        "plan of a stopped one twice",
        "drop during the last poll",
    ],
)
def test_two_steps_at_once_have_the_effect_of_one_after_the_other(
    world: World, start: Start, act: Act, states: set[GenerationState]
) -> None:
    wrong = []
    with world() as account:
        pipeline = GenerationPipeline(account.cloud, account.environment)
        alone = Invocation()
        start(pipeline)(alone)
    # By then the step has read what it decides by, and has written part of it.
    middle = [len(alone.calls) // 2]
    for call in range(len(alone.calls)) if EXPLORE else middle:
        with world() as account:
            pipeline = GenerationPipeline(account.cloud, account.environment)
            first = start(pipeline)
            pipeline.interleave(first, call, partial(act, pipeline))
            pipeline.settle()
            found = list(pipeline.generation_violations())
            if pipeline.generation.state not in states:
                found.append(f"{pipeline.generation.state}: {pipeline.generation.reasons}")
            wrong += [f"paused at {alone.calls[call]}, call {call}: {one}" for one in found]
    assert wrong == []

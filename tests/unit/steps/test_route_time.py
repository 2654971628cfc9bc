"""A batch that takes longer than its function may run: stored results stay, the rest returns at once."""

from __future__ import annotations

import json
import threading
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

import pytest

from distillery.aws.idempotent_calls import LAST_START
from distillery.aws.queues import Queue
from distillery.errors import Throttled
from distillery.steps import route_queries
from distillery.steps.route_queries import SETTLING
from tests.unit.fakes import CloudResources, FakeContext, FakeConverse
from tests.unit.steps.query_batches import answer, records, results, router

if TYPE_CHECKING:
    from distillery.aws.bedrock.converse import Reply

MESSAGES, QUERIES, CALLS = 10, 8, 30
"""Messages of a batch, queries of a message, and calls for which an invocation has time."""


class SlowConverse(FakeConverse):
    """Every call takes time off the invocation whose context it has."""

    def __init__(self, context: FakeContext, **scripted: str | Exception) -> None:
        super().__init__(**scripted)
        self.context = context

    def ask(self, *arguments: Any, **options: Any) -> Reply:
        reply = super().ask(*arguments, **options)
        with self._lock:
            self.context._remaining -= (120_000 - LAST_START) // CALLS
        return reply


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays until messages are delivered again."""
    seconds: list[float] = []
    monkeypatch.setattr(Queue, "hide", lambda _, __, delay: seconds.append(delay))
    return seconds


def lists(cloud: CloudResources) -> list[dict[str, Any]]:
    """A batch of as many long lists as Lambda delivers."""
    bodies = (
        {"queries": [{"query_id": f"{m}-{q}", "query": f"clip {m} {q}"} for q in range(QUERIES)]}
        for m in range(MESSAGES)
    )
    return records(cloud, *bodies)


def test_batch_of_long_lists_stores_what_it_can_and_returns_the_rest_at_once(
    cloud: CloudResources, delays: list[float]
) -> None:
    converse = SlowConverse(FakeContext())
    waiting = lists(cloud)
    deliveries = 0
    while waiting:
        deliveries += 1
        delays.clear()
        before = len(results())
        converse.context = FakeContext()
        back = answer(router(cloud, converse), waiting, converse.context)
        assert delays == [0] * len(back)
        assert len(results()) > before
        assert converse.context.get_remaining_time_in_millis() > SETTLING
        waiting = [record for record in waiting if record["body"] in back]
    assert deliveries > 1
    assert len(results()) == MESSAGES * QUERIES
    assert set(converse.asked.values()) == {1}
    assert {result["source"] for result in results().values()} == {"model"}
    assert not cloud.messages("DEAD_LETTER_QUEUE_URL")


def test_message_that_was_throttled_and_ran_out_of_time_waits(
    cloud: CloudResources, delays: list[float]
) -> None:
    context = FakeContext(LAST_START)
    converse = SlowConverse(context, snow=Throttled("slow down"))
    # One thread: the first call is throttled, the second takes the rest of the time.
    one_thread = CloudResources(cloud.environment | {"ROUTER_CONCURRENCY": "1"})
    body = {"queries": [{"query_id": q, "query": q} for q in ("snow", "rain", "hail")]}
    assert len(answer(router(one_thread, converse), records(cloud, body), context)) == 1
    assert list(results()) == ["rain"]
    assert len(delays) == 1
    assert delays[0] >= 1


def test_call_that_does_not_return_holds_up_no_other_query(
    cloud: CloudResources, delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    called, released, finished = threading.Event(), threading.Event(), threading.Event()

    class HangingConverse(FakeConverse):
        def ask(self, *arguments: Any, **options: Any) -> Reply:
            if "snow" in arguments:
                called.set()
                assert released.wait(30)
                finished.set()
            return super().ask(*arguments, **options)

    def wait_until_it_hangs(futures: Any, timeout: float) -> Any:
        assert timeout == (120_000 - SETTLING) / 1_000
        assert called.wait(30)
        return wait(futures, 0)

    monkeypatch.setattr(route_queries, "wait", wait_until_it_hangs)
    batch = records(cloud, {"query_id": "a", "query": "rain"}, {"query_id": "b", "query": "snow"})
    one_thread = CloudResources(cloud.environment | {"ROUTER_CONCURRENCY": "1"})
    try:
        back = answer(router(one_thread, HangingConverse()), batch)
        assert [json.loads(body)["query_id"] for body in back] == ["b"]
        assert list(results()) == ["a"]
        assert delays == [0]
    finally:
        released.set()
    assert finished.wait(30)


def test_correction_of_an_answer_is_requested_even_when_no_new_call_may_start(
    cloud: CloudResources, delays: list[float]
) -> None:
    context = FakeContext(LAST_START)
    converse = SlowConverse(context, rain="I cannot say.")
    assert answer(router(cloud, converse), records(cloud, {"query": "rain"}), context) == []
    assert converse.asked == {"rain": 2}
    assert delays == []


def test_query_that_comes_too_late_writes_no_idempotency_record(
    cloud: CloudResources, delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("an idempotency record was written")

    monkeypatch.setattr("distillery.aws.idempotent_calls.IdempotentCalls.once", fail)
    context = FakeContext(LAST_START - 1)
    assert len(answer(router(cloud, FakeConverse()), records(cloud, {"query": "rain"}), context)) == 1
    assert delays == [0]

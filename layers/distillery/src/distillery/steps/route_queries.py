"""A batch of query messages: each distinct query costs one call, each message is settled on its own.

An idempotency record with a key of models, prompts and query guards the call. A message delivered twice at
the same time costs one call, and equal queries within an hour get the stored answer of the first one.

Each result is stored as its answer comes. What cannot be answered within the function's time returns to the
queue at once; the results that are stored by then are found by the next delivery.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit
from aws_lambda_powertools.utilities.parameters import SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from distillery.aws import clients
from distillery.aws.active_model import ActiveModel, parse_active_model
from distillery.aws.bedrock.converse import Converse, Correction, Reply
from distillery.aws.bucket import Bucket
from distillery.aws.idempotent_calls import IdempotentCalls, OutOfTime, idempotency_config, require_time
from distillery.aws.queues import Queue
from distillery.aws.redelivery import Redelivery, age_seconds
from distillery.aws.result_store import Results
from distillery.aws.stack_config import run_channel_config, stack_channel_config
from distillery.dataset.split import query_key
from distillery.errors import BadInput, DistilleryError, Transient, Unavailable
from distillery.runs.states import now
from distillery.serving.messages import Message, Query, parse_message
from distillery.serving.routing import NoUsableModel, Routed, Target, result_entry, route
from distillery.task.channels import text_digest
from distillery.task.prompts import correction_request, student_prompt, teacher_prompt
from distillery.task.repairs import Repair

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from distillery.settings import RouteSettings
    from distillery.task.channels import ChannelConfig

logger = Logger(child=True)
SETTLING = 15_000
"""Milliseconds that must remain to settle the messages of a batch, whatever work still goes on."""


class _Fallback(Exception):
    """Carries the fallback answer out of the guarded call, so that no idempotency record stores it."""

    def __init__(self, routed: Routed) -> None:
        super().__init__("answered with the fallback weights")
        self.routed = routed


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer and the id of the query whose call it came from. Other queries get it from the cache."""

    routed: Routed
    query_id: str

    def to(self, query_id: str) -> Routed:
        """Return the answer as it is stored for one query."""
        if self.routed.source != "model" or query_id == self.query_id:
            return self.routed
        return replace(self.routed, source="cache", input_tokens=0, output_tokens=0)


class IdBelongsToAnother(BadInput):
    """The ID of a query has the result of another query."""

    def __init__(self, query: Query) -> None:
        super().__init__(f"The query_id {query.query_id!r} belongs to another query.")


Key = tuple[str, bytes]
"""The ID of a query and the key of its text, which is equal for texts that count as the same."""


@dataclass
class Batch:
    """The messages of a batch, why one is unusable, why a query has no result, the answer to each text."""

    messages: dict[str, Message] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    failures: dict[Key, DistilleryError] = field(default_factory=dict)
    answers: dict[bytes, Answered] = field(default_factory=dict)


class Router:
    """Answers batches of query messages. Created once per execution environment."""

    def __init__(
        self,
        settings: RouteSettings,
        metrics: Metrics,
        *,
        converse: Converse | None = None,
        results: Results | None = None,
        records: BasePersistenceLayer | None = None,
        parameters: SSMProvider | None = None,
        bucket: Bucket | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._converse = converse or Converse()
        self._results = results or Results(settings.results_table)
        self._calls = IdempotentCalls("route", settings.idempotency_table, records)
        self._parameters = parameters or SSMProvider(boto3_client=clients.client("ssm"))
        bucket = bucket or Bucket(settings.data_bucket)
        # The copy that a run keeps never changes. The stack's file is read once in each cache period.
        self._run_channel_config = lru_cache(maxsize=4)(partial(run_channel_config, bucket))
        self._stack_channel_config = lru_cache(maxsize=1)(lambda _: stack_channel_config(bucket))
        queue = Queue(settings.query_queue_url)
        self._redelivery = Redelivery(queue, settings.idempotency_table, settings.give_up_after)
        self._dead_letters = Queue(settings.dead_letter_queue_url)

    def answer(self, records: Iterable[SQSRecord], context: LambdaContext) -> Batch:
        """Answer every query of the batch that has no result yet, and store the results."""
        batch = Batch()
        for record in records:
            self._metrics.add_metric("QueryWaitSeconds", MetricUnit.Seconds, age_seconds(record))
            try:
                batch.messages[record.message_id] = parse_message(record.body, record.message_id)
            except BadInput as error:
                batch.unusable[record.message_id] = str(error)
        queries = {_key(query): query for message in batch.messages.values() for query in message.queries}
        try:
            known = self._results.known({query_id for query_id, _ in queries})
        except DistilleryError as error:
            batch.failures = self._all_later(queries, error)
        else:
            self._answer_new(queries, known, batch, context)
        self._report(batch)
        return batch

    def _answer_new(
        self, queries: Mapping[Key, Query], known: Mapping[str, str], batch: Batch, context: LambdaContext
    ) -> None:
        """Answer the queries whose ID has no result. Of several texts with one ID the first is answered."""
        owners = {query_id: query_key(text) for query_id, text in known.items()}
        groups: dict[bytes, list[Query]] = {}
        for (query_id, text_key), query in queries.items():
            if query_id not in owners:
                owners[query_id] = text_key
                groups.setdefault(text_key, []).append(query)
        if groups:
            try:
                batch.answers, batch.failures = self._answer_groups(groups, context)
            except DistilleryError as error:
                batch.failures = self._all_later(map(_key, chain(*groups.values())), error)
        for (query_id, text_key), query in queries.items():
            owner = query_id, owners[query_id]
            if owner[1] == text_key:
                continue
            if owner in batch.failures:
                failure: DistilleryError = Unavailable("Another query with the same query_id comes first.")
            else:
                failure = IdBelongsToAnother(query)
            batch.failures[query_id, text_key] = failure

    def _all_later(self, keys: Iterable[Key], error: DistilleryError) -> dict[Key, DistilleryError]:
        """Failures of queries about which nothing is wrong, so that none of them is given up for it."""
        logger.error("the queries are tried again later", reason=str(error))
        return dict.fromkeys(keys, Unavailable(str(error)))

    def _answer_groups(
        self, groups: Mapping[bytes, Sequence[Query]], context: LambdaContext
    ) -> tuple[dict[bytes, Answered], dict[Key, DistilleryError]]:
        """Answer each text and store the results of its queries, concurrently, while there is time.

        Returns the answers, and why a query has no result.
        """
        active = self._active_model()
        channel_config = self._channel_config_of(active)
        targets = self._targets(active, channel_config)
        config = idempotency_config(context)
        late = OutOfTime("The function had no time left for this query.")
        answers: dict[bytes, Answered] = {}
        failures: dict[Key, DistilleryError] = dict.fromkeys(map(_key, chain(*groups.values())), late)

        def work(text_key: bytes) -> None:
            queries = groups[text_key]
            try:
                answered = self._answer(queries[0], text_key, channel_config, targets, config, context)
            except DistilleryError as error:
                failures.update(dict.fromkeys(map(_key, queries), error))
                return
            answers[text_key] = answered
            for query in queries:
                try:
                    self._store(query, answered)
                except DistilleryError as error:
                    failures[_key(query)] = error
                else:
                    del failures[_key(query)]

        pool = ThreadPoolExecutor(self._settings.router_concurrency)
        try:
            futures: list[Future[None]] = [pool.submit(work, text_key) for text_key in groups]
            done, _ = wait(futures, max(0, context.get_remaining_time_in_millis() - SETTLING) / 1_000)
        finally:
            # A call that does not return holds up neither the other queries nor the end of the function.
            pool.shutdown(wait=False, cancel_futures=True)
        for future in done:
            future.result()
        return answers.copy(), failures.copy()

    def settle(self, record: SQSRecord, batch: Batch) -> None:
        """Move what can never be answered to the dead-letter queue. Raises Transient to retry the message."""
        if record.message_id in batch.unusable:
            self._dead_letter(record, record.body, batch.unusable[record.message_id])
            return
        message = batch.messages[record.message_id]
        if not message.queries and not message.refused:
            logger.info("message that asks nothing dropped", message_id=record.message_id)
            return
        failures = {
            query.number: batch.failures[_key(query)]
            for query in message.queries
            if _key(query) in batch.failures
        }
        waiting = [failure for failure in failures.values() if isinstance(failure, Transient)]
        given_up = self._redelivery.retry(record, waiting) if waiting else ""
        if waiting and not given_up:
            raise waiting[0]
        reasons = message.refused | {
            number: f"{given_up} {failure}" if isinstance(failure, Transient) else str(failure)
            for number, failure in failures.items()
        }
        if reasons:
            self._dead_letter(record, *message.letter(reasons))
        if reused := sum(isinstance(failure, IdBelongsToAnother) for failure in failures.values()):
            self._metrics.add_metric("QueryIdsReused", MetricUnit.Count, reused)

    def _store(self, query: Query, answered: Answered) -> None:
        """Store the result of a query. Raises IdBelongsToAnother if its ID has the result of another one."""
        at = now()
        expires_at = int((at + timedelta(days=self._settings.result_days)).timestamp())
        entry = result_entry(query, answered.to(query.query_id), at=at, expires_at=expires_at)
        if self._results.store(entry):
            return
        known = self._results.known([query.query_id])
        if query_key(known.get(query.query_id, query.query)) != query_key(query.query):
            raise IdBelongsToAnother(query)

    def _dead_letter(self, record: SQSRecord, body: str, reason: str) -> None:
        # A function that stops right after this sends the letter again: its message_id tells that it is one.
        self._dead_letters.dead_letter(body, reason, {"message_id": record.message_id})
        self._metrics.add_metric("DeadLetters", MetricUnit.Count, 1)
        logger.warning("dead letter sent", message_id=record.message_id, reason=reason)

    def _targets(self, active: ActiveModel, channel_config: ChannelConfig) -> list[Target]:
        """Return the models to call, in order: the active model, then the baseline."""
        baseline = Target(self._settings.baseline_model, teacher_prompt(channel_config))
        if active.is_baseline:
            return [baseline]
        prompt = student_prompt if active.prompt == "student" else teacher_prompt
        return [Target(active.model_id, prompt(channel_config), active.run_id), baseline]

    def _active_model(self) -> ActiveModel:
        """Return the active model, or the baseline when the parameter cannot be read."""
        try:
            text = self._parameters.get(
                self._settings.active_model_parameter, max_age=self._settings.active_model_cache_seconds
            )
            return parse_active_model(str(text))
        except (BadInput, GetParameterError) as error:
            self._metrics.add_metric("ActiveModelUnusable", MetricUnit.Count, 1)
            logger.error("active model unreadable; the baseline answers", reason=str(error))
            return ActiveModel()

    def _channel_config_of(self, active: ActiveModel) -> ChannelConfig:
        """Return the channel configuration of the active model, also for the baseline in its place.

        If it cannot be read, queries wait: late weights are better than weights for the wrong channels.
        """
        try:
            if active.run_id:
                return self._run_channel_config(active.run_id)
            return self._stack_channel_config(time.monotonic() // self._settings.active_model_cache_seconds)
        except DistilleryError:
            self._metrics.add_metric("ChannelConfigUnusable", MetricUnit.Count, 1)
            raise

    def _answer(
        self,
        query: Query,
        text_key: bytes,
        channel_config: ChannelConfig,
        targets: Sequence[Target],
        config: IdempotencyConfig,
        context: LambdaContext,
    ) -> Answered:
        """Return the answer to a query, or the stored answer to an equal one. Raises Transient."""

        def in_time(target: Target, text: str, unreadable: str | None) -> Reply:
            if unreadable is None:
                require_time(context)
                return self._converse.ask(target.model_id, target.system, text)
            # The first call is billed already: without this one it would have been for nothing.
            correction = Correction(unreadable, correction_request(channel_config))
            return self._converse.ask(target.model_id, target.system, text, correction=correction)

        def ask() -> dict[str, Any]:
            routed = route(query.query, targets, in_time, channel_config)
            if routed.source == "fallback":
                raise _Fallback(routed)
            return {"routed": asdict(routed), "query_id": query.query_id}

        require_time(context)  # before the idempotency record is written
        models = [[target.model_id, text_digest(target.system)] for target in targets]
        try:
            answer = self._calls.once({"models": models, "query": text_key.hex()}, ask, config)
        except _Fallback as fallback:
            return Answered(fallback.routed, query.query_id)
        stored = answer["routed"]
        return Answered(
            Routed(**{**stored, "repairs": tuple(Repair(repair) for repair in stored["repairs"])}),
            answer["query_id"],
        )

    def _report(self, batch: Batch) -> None:
        """Emit metrics, and one log line per distinct reason instead of one per query."""
        counts: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for answered in batch.answers.values():
            routed = answered.routed
            counts["QueriesAsked"] += routed.source == "model"
            counts["RepairedAnswers"] += bool(routed.repairs)
            counts["FallbackAnswers"] += routed.source == "fallback"
            counts["ActiveModelUnusable"] += bool(routed.unusable)
            reasons.update(routed.unusable)
        for failure in batch.failures.values():
            counts["NoUsableModel"] += isinstance(failure, NoUsableModel)
            reasons[str(failure)] += isinstance(failure, Transient)
        for name, count in counts.items():
            if count:
                self._metrics.add_metric(name, MetricUnit.Count, count)
        for reason, queries in sorted(reasons.items()):
            if queries:
                logger.warning("model did not answer", reason=reason, queries=queries)


def _key(query: Query) -> Key:
    return query.query_id, query_key(query.query)

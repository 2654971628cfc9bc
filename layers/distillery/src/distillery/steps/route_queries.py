"""A batch of query messages: each distinct query costs one call, each message is settled on its own.

An idempotency record with a key of models, prompts and query guards the call. A message delivered twice at
the same time costs one call, and equal queries within an hour get the stored answer of the first one.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit
from aws_lambda_powertools.utilities.parameters import SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from distillery.aws import clients
from distillery.aws.active_model import ActiveModel, parse_active_model
from distillery.aws.bedrock.converse import Converse, Correction, Reply
from distillery.aws.bucket import Bucket
from distillery.aws.idempotent_calls import (
    IdempotentCalls,
    idempotency_config,
    receive_count,
    require_time,
    retry_later,
)
from distillery.aws.queues import Queue
from distillery.aws.result_store import Results
from distillery.aws.stack_config import run_channel_config, stack_channel_config
from distillery.errors import BadInput, DistilleryError, Transient
from distillery.runs.states import now
from distillery.serving.messages import Message, Query, parse_message, refusal
from distillery.serving.routing import Routed, Target, result_entry, route
from distillery.task.channels import text_digest
from distillery.task.prompts import correction_request, student_prompt, teacher_prompt
from distillery.task.repairs import Repair

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from distillery.settings import RouteSettings
    from distillery.task.channels import ChannelConfig

logger = Logger(child=True)


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


@dataclass
class Batch:
    """For each message its queries or why it is unusable, and for each query text its answer or error.

    `known` has the query of each ID that had a result before; `texts` has that of every ID, the first if an
    ID came with several.
    """

    messages: dict[str, Message] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Answered | DistilleryError] = field(default_factory=dict)


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
        self._queue = Queue(settings.query_queue_url)
        self._dead_letters = Queue(settings.dead_letter_queue_url)

    def answer(self, records: Iterable[SQSRecord], context: LambdaContext) -> Batch:
        """Call the models for every distinct query of the batch that has no result yet."""
        batch = Batch()
        for record in records:
            try:
                batch.messages[record.message_id] = parse_message(record.body, record.message_id)
            except BadInput as error:
                batch.unusable[record.message_id] = str(error)
        queries = [query for message in batch.messages.values() for query in message.queries]
        batch.known = self._results.known({query.query_id for query in queries})
        batch.texts = dict(batch.known)
        first_ids: dict[str, str] = {}
        for query in queries:
            is_first = batch.texts.setdefault(query.query_id, query.query) == query.query
            if is_first and query.query_id not in batch.known:
                first_ids.setdefault(query.query, query.query_id)
        if first_ids:
            batch.answers = self._answers(first_ids, context)
            self._report(batch.answers.values())
        return batch

    def _answers(
        self, first_ids: Mapping[str, str], context: LambdaContext
    ) -> dict[str, Answered | DistilleryError]:
        """Return the answer to each text. `first_ids` has the id of the first query with a text."""
        try:
            active = self._active_model()
            channel_config = self._channel_config_of(active)
        except DistilleryError as error:
            # Late weights are better than weights for the wrong channels.
            self._metrics.add_metric("ChannelConfigUnusable", MetricUnit.Count, 1)
            logger.error(
                "channel configuration unreadable; the queries are tried again later", reason=str(error)
            )
            return dict.fromkeys(first_ids, Transient(str(error)))
        targets = self._targets(active, channel_config)
        config = idempotency_config(context)
        with ThreadPoolExecutor(self._settings.router_concurrency) as pool:
            answers = pool.map(
                lambda text, query_id: self._answer(text, query_id, channel_config, targets, config, context),
                first_ids,
                first_ids.values(),
            )
            return dict(zip(first_ids, answers, strict=True))

    def settle(self, record: SQSRecord, batch: Batch) -> None:
        """Store the results of a message, or move it to the dead-letter queue.

        Raises Transient when it must be retried.
        """
        if record.message_id in batch.unusable:
            self._dead_letter(record, batch.unusable[record.message_id])
            return
        message = batch.messages[record.message_id]
        if not message.queries and not message.refused:
            logger.info("message that asks nothing dropped", message_id=record.message_id)
            return
        try:
            refused = [*message.refused, *self._store(message.queries, batch)]
        except Transient as error:
            if receive_count(record) >= self._settings.give_up_after:
                self._dead_letter(record, f"Given up after {receive_count(record)} deliveries. {error}")
                return
            retry_later(self._queue, record, error)
            raise
        except DistilleryError as error:
            self._dead_letter(record, str(error))
            return
        if refused:
            self._dead_letter(record, refusal(refused, len(message.queries) + len(message.refused)))

    def _store(self, queries: Sequence[Query], batch: Batch) -> list[str]:
        """Store the results. Return why queries are refused: their id belongs to another query.

        Raises the error of a query that has no answer.
        """
        failure: DistilleryError | None = None
        refused: list[str] = []
        at = now()
        expires_at = int((at + timedelta(days=self._settings.result_days)).timestamp())
        for query in queries:
            if batch.texts[query.query_id] != query.query:
                refused.append(_used_before(query))
                continue
            if query.query_id in batch.known:
                continue
            answer = batch.answers[query.query]
            if isinstance(answer, DistilleryError):
                failure = answer
                continue
            routed = answer.to(query.query_id)
            entry = result_entry(query, routed, at=at, expires_at=expires_at)
            if not self._results.store(entry) and self._is_other(query):
                refused.append(_used_before(query))
        if failure is not None:
            raise failure
        return refused

    def _is_other(self, query: Query) -> bool:
        """Whether the result that another invocation has stored under the id answers another query."""
        return self._results.known([query.query_id]).get(query.query_id, query.query) != query.query

    def _dead_letter(self, record: SQSRecord, reason: str) -> None:
        self._dead_letters.dead_letter(record.body, reason)
        self._metrics.add_metric("DeadLetters", MetricUnit.Count, 1)
        logger.warning("message moved to the dead-letter queue", message_id=record.message_id, reason=reason)

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
        """Return the channel configuration of the active model, also for the baseline in its place."""
        if active.run_id:
            return self._run_channel_config(active.run_id)
        return self._stack_channel_config(time.monotonic() // self._settings.active_model_cache_seconds)

    def _answer(
        self,
        text: str,
        query_id: str,
        channel_config: ChannelConfig,
        targets: Sequence[Target],
        config: IdempotencyConfig,
        context: LambdaContext,
    ) -> Answered | DistilleryError:
        def in_time(target: Target, query: str, unreadable: str | None) -> Reply:
            require_time(context)
            correction = (
                None if unreadable is None else Correction(unreadable, correction_request(channel_config))
            )
            return self._converse.ask(target.model_id, target.system, query, correction=correction)

        def ask() -> dict[str, Any]:
            routed = route(text, targets, in_time, channel_config)
            if routed.source == "fallback":
                raise _Fallback(routed)
            return {"routed": asdict(routed), "query_id": query_id}

        key = {"models": [[t.model_id, text_digest(t.system)] for t in targets], "query": text}
        try:
            answer = self._calls.once(key, ask, config)
        except _Fallback as fallback:
            return Answered(fallback.routed, query_id)
        except Transient as error:
            return error
        stored = answer["routed"]
        return Answered(
            Routed(**{**stored, "repairs": tuple(Repair(repair) for repair in stored["repairs"])}),
            answer["query_id"],
        )

    def _report(self, answers: Iterable[Answered | DistilleryError]) -> None:
        """Emit metrics, and one log line per distinct reason instead of one per query."""
        counts = dict.fromkeys(
            ("QueriesAsked", "RepairedAnswers", "FallbackAnswers", "ActiveModelUnusable"), 0
        )
        reasons: set[str] = set()
        for answer in answers:
            if isinstance(answer, DistilleryError):
                reasons.add(str(answer))
                continue
            routed = answer.routed
            counts["QueriesAsked"] += routed.source == "model"
            counts["RepairedAnswers"] += bool(routed.repairs)
            counts["FallbackAnswers"] += routed.source == "fallback"
            counts["ActiveModelUnusable"] += bool(routed.unusable)
            reasons.update(routed.unusable)
        for name, count in counts.items():
            if count:
                self._metrics.add_metric(name, MetricUnit.Count, count)
        for reason in sorted(reasons):
            logger.warning("model did not answer", reason=reason)


def _used_before(query: Query) -> str:
    return f"the query_id {query.query_id!r} belongs to another query"

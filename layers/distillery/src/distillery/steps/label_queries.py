"""A batch of label messages: the teacher labels each query once, each message is settled on its own.

Messages of a generation that has ended, is past its deadline or has reached its cost cap are deleted without
a label. The plan and the labels table show which queries are missing; they are queued again when the
generation continues.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools import Logger
from pydantic import BaseModel, Field, ValidationError

from distillery.aws.bedrock.converse import Converse, Correction
from distillery.aws.bucket import Bucket
from distillery.aws.clients import AccessDenied, Missing
from distillery.aws.generation_store import Generations, Label, Labels
from distillery.aws.idempotent_calls import IdempotentCalls, idempotency_config, require_time
from distillery.aws.queues import Queue
from distillery.aws.redelivery import Redelivery
from distillery.aws.stack_config import generation_channel_config
from distillery.errors import DistilleryError, Permanent, Transient, UnreadableRouting
from distillery.generation.states import Generation, GenerationState
from distillery.runs.states import now
from distillery.serving.messages import QueryText
from distillery.serving.routing import Target, Usage, ask_until_readable
from distillery.steps.generation_steps import QUERIES_PER_MESSAGE
from distillery.task.prompts import correction_request, teacher_prompt
from distillery.validation_messages import first_problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from distillery.aws.bedrock.converse import Reply
    from distillery.settings import LabelSettings
    from distillery.task.channels import ChannelConfig

ANSWER_SECONDS = 86_400
"""How long an answer is kept that could not be stored as a label: longer than its message is tried again."""
logger = Logger(child=True)


class QueuedQuery(BaseModel):
    """A planned query in a message."""

    number: int = Field(ge=1)
    query: QueryText


class LabelMessage(BaseModel):
    """A message of the label queue."""

    generation_id: Annotated[str, Field(min_length=1, max_length=100)]
    queries: list[QueuedQuery] = Field(min_length=1, max_length=QUERIES_PER_MESSAGE)


class NoMoreLabels(DistilleryError):
    """The generation takes no more labels at present."""


Key = tuple[str, int]


@dataclass
class LabelBatch:
    """The messages of a batch, why a message is unusable, and why a query has no label."""

    messages: dict[str, LabelMessage] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    failures: dict[Key, DistilleryError] = field(default_factory=dict)


class _LabelledGeneration:
    """One generation of a batch: its teacher, its prompt, and whether it still takes labels."""

    def __init__(
        self, generation: Generation, channel_config: ChannelConfig, generations: Generations
    ) -> None:
        self._generation, self._generations = generation, generations
        self._not_stored: DistilleryError | None = None
        self.channel_config = channel_config
        self.target = Target(generation.teacher, teacher_prompt(channel_config))

    def require_open(self) -> None:
        """Raise NoMoreLabels when the generation, as last read, takes no more labels.

        Raises Transient once a label could not be stored: no call is paid whose cost cannot be counted.
        """
        if self._not_stored:
            raise Transient(self._not_stored.message)
        found = self._generation
        if found.state is not GenerationState.LABELLING or found.why_closed(now()):
            raise NoMoreLabels(f"The generation {found.generation_id} takes no more labels at present.")

    def cost(self, usage: Usage) -> float:
        """Cost of calls in USD. A generation is planned only if its teacher has a price."""
        price = self._generation.price
        return price.cost(usage.input_tokens, usage.output_tokens) if price else 0.0

    def store(self, label: Label, labels: Labels, table: str) -> DistilleryError | None:
        """Store a label with its cost, and read what other functions have added. Returns the error."""
        try:
            labels.store(label, table)
            self._generation = self._generations.get(label.generation_id)
        except DistilleryError as error:
            self._not_stored = error
            return error
        return None

    def pay(self, usd: float) -> None:
        """Count the cost of calls that gave no label."""
        name = self._generation.generation_id
        self._generation = self._generations.add_spent(name, usd) or self._generation

    def halt(self, reason: str) -> None:
        """Stop labelling: the teacher cannot be called at all."""
        name = self._generation.generation_id
        self._generation = self._generations.note(name, halted=reason) or self._generation


class QueryLabeller:
    """Labels batches of planned queries. Created once per execution environment."""

    def __init__(
        self,
        settings: LabelSettings,
        *,
        converse: Converse | None = None,
        records: BasePersistenceLayer | None = None,
    ) -> None:
        self._settings = settings
        self._converse = converse or Converse()
        self._calls = IdempotentCalls("label", settings.idempotency_table, records)
        self._generations = Generations(settings.generations_table)
        self._labels = Labels(settings.labels_table)
        queue = Queue(settings.label_queue_url)
        self._redelivery = Redelivery(queue, settings.idempotency_table, settings.give_up_after)
        self._dead_letters = Queue(settings.dead_letter_queue_url)
        bucket = Bucket(settings.data_bucket)
        # The copy that a generation keeps never changes.
        self._channel_config = lru_cache(maxsize=8)(lambda name: generation_channel_config(bucket, name))

    def label(self, records: Iterable[SQSRecord], context: LambdaContext) -> LabelBatch:
        """Label every query of the batch that has no label yet. Each label is stored at once."""
        batch = LabelBatch()
        for record in records:
            try:
                batch.messages[record.message_id] = LabelMessage.model_validate_json(record.body)
            except ValidationError as error:
                problem = first_problem(error, "the message")
                batch.unusable[record.message_id] = f"This is not a message of the label queue: {problem}."
        queries = {
            (message.generation_id, queued.number): queued.query
            for message in batch.messages.values()
            for queued in message.queries
        }
        known = self._labels.known(queries)
        generations = {name: self._open(name) for name in sorted({name for name, _ in queries})}
        missing = [key for key in queries if key not in known]
        config = idempotency_config(context, ANSWER_SECONDS)
        with ThreadPoolExecutor(self._settings.label_concurrency) as pool:
            outcomes = pool.map(
                lambda key: self._settle_query(key, queries[key], generations[key[0]], config, context),
                missing,
            )
            failures = dict(zip(missing, outcomes, strict=True))
        batch.failures = {key: failure for key, failure in failures.items() if failure is not None}
        for reason in sorted({str(failure) for failure in batch.failures.values()}):
            logger.warning("query not labelled", reason=reason)
        return batch

    def settle(self, record: SQSRecord, batch: LabelBatch) -> None:
        """Return, or move the message to the dead-letter queue. Raises Transient when it must be retried."""
        if record.message_id in batch.unusable:
            self._dead_letter(record, batch.unusable[record.message_id])
            return
        message = batch.messages[record.message_id]
        keys = [(message.generation_id, queued.number) for queued in message.queries]
        failures = [batch.failures[key] for key in keys if key in batch.failures]
        waiting = [failure for failure in failures if isinstance(failure, Transient)]
        if waiting:
            given_up = self._redelivery.retry(record, waiting)
            if not given_up:
                raise waiting[0]
            self._dead_letter(record, f"{given_up} {waiting[0]}")
            return
        permanent = next((failure for failure in failures if not isinstance(failure, NoMoreLabels)), None)
        if permanent is not None:
            self._dead_letter(record, str(permanent))

    def _open(self, name: str) -> _LabelledGeneration | DistilleryError:
        try:
            generation = self._generations.get(name)
            return _LabelledGeneration(generation, self._channel_config(name), self._generations)
        except DistilleryError as error:
            return error

    def _settle_query(
        self,
        key: Key,
        query: str,
        generation: _LabelledGeneration | DistilleryError,
        config: IdempotencyConfig,
        context: LambdaContext,
    ) -> DistilleryError | None:
        """Label one query and store the label. Returns the error when that failed."""
        if isinstance(generation, DistilleryError):
            return generation
        try:
            label = self._label(key, query, generation, config, context)
        except (AccessDenied, Missing) as error:
            generation.halt(f"The teacher cannot be called. {error}")
            return error
        except DistilleryError as error:
            return error
        return generation.store(label, self._labels, self._settings.generations_table)

    def _label(
        self,
        key: Key,
        query: str,
        generation: _LabelledGeneration,
        config: IdempotencyConfig,
        context: LambdaContext,
    ) -> Label:
        def ask(target: Target, text: str, unreadable: str | None) -> Reply:
            generation.require_open()
            require_time(context)
            request = correction_request(generation.channel_config)
            correction = None if unreadable is None else Correction(unreadable, request)
            return self._converse.ask(target.model_id, target.system, text, correction=correction)

        def call() -> dict[str, Any]:
            usage = Usage()
            try:
                answer = _answer(query, generation, ask, usage)
            except DistilleryError:
                if paid := generation.cost(usage):  # the first of two calls gave an unreadable answer
                    generation.pay(paid)
                raise
            return answer | {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cost_usd": generation.cost(usage),
            }

        generation_id, number = key
        answer = self._calls.once({"generation": generation_id, "number": number}, call, config)
        return Label(generation_id=generation_id, number=number, query=query, labelled_at=now(), **answer)

    def _dead_letter(self, record: SQSRecord, reason: str) -> None:
        self._dead_letters.dead_letter(record.body, reason)
        logger.warning("message moved to the dead-letter queue", message_id=record.message_id, reason=reason)


def _answer(query: str, generation: _LabelledGeneration, ask: Any, usage: Usage) -> dict[str, Any]:
    """Return the teacher's weights, or why this query has none. Errors that stop every query pass through."""
    try:
        routing = ask_until_readable(query, generation.target, ask, generation.channel_config, usage)
    except UnreadableRouting as error:
        return {"reason": error.message}
    except (AccessDenied, Missing):
        raise
    except Permanent as error:
        return {"reason": error.message}  # the teacher refuses this query only
    return {
        "weights": routing.weights,
        "reasoning": routing.reasoning,
        "repairs": [repair.value for repair in routing.repairs],
    }

"""A batch of messages with planned queries: each is labelled by the teacher once, each message settled alone.

A generation that has ended, is past its deadline, or has used up its money lets its messages go: what is
missing is known from plan and labels, and is queued again when the generation goes on.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools import Logger
from pydantic import BaseModel, Field, ValidationError

from distillery.aws.bedrock.converse import Converse
from distillery.aws.bucket import Bucket
from distillery.aws.clients import AccessDenied, Missing
from distillery.aws.generation_store import Generations, Label, Labels
from distillery.aws.idempotent_calls import PaidCalls, claims_of, put_back, received, require_time
from distillery.aws.queues import Queue
from distillery.aws.stack_config import generation_channel_config
from distillery.errors import DistilleryError, Permanent, Transient, UnreadableRouting
from distillery.generation.states import Generation, GenerationState
from distillery.runs.states import now
from distillery.serving.messages import QueryText
from distillery.serving.routing import Spent, Target, readable
from distillery.steps.generation_steps import QUERIES_PER_MESSAGE
from distillery.task.prompts import teacher_prompt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from distillery.aws.bedrock.converse import Reply
    from distillery.settings import LabelSettings
    from distillery.task.channels import ChannelConfig

logger = Logger(child=True)


class QueuedQuery(BaseModel):
    """A planned query, as it is queued."""

    number: int = Field(ge=1)
    query: QueryText


class LabelMessage(BaseModel):
    """A message of the label queue."""

    generation_id: Annotated[str, Field(min_length=1, max_length=100)]
    queries: list[QueuedQuery] = Field(min_length=1, max_length=QUERIES_PER_MESSAGE)


class LetGo(DistilleryError):
    """The generation takes no further label now."""


Key = tuple[str, int]


@dataclass
class LabelBatch:
    """The messages of a batch, or why one can never be dealt with; and what kept a query from its label."""

    messages: dict[str, LabelMessage] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    failures: dict[Key, DistilleryError] = field(default_factory=dict)


class _Job:
    """One generation within a batch: its teacher, its prompt, and whether it still takes labels."""

    def __init__(
        self, generation: Generation, channel_config: ChannelConfig, generations: Generations
    ) -> None:
        self._generation, self._generations = generation, generations
        self.channel_config = channel_config
        self.target = Target(generation.teacher, teacher_prompt(channel_config))

    def require_open(self) -> None:
        """Raise LetGo when no further call may be made, as far as this function knows."""
        found = self._generation
        overdue = found.deadline is not None and now() >= found.deadline
        if found.state is not GenerationState.LABELLING or found.halted or found.is_capped or overdue:
            raise LetGo(f"The generation {found.generation_id} takes no further label now.")

    def cost(self, spent: Spent) -> float:
        """USD for calls; without a price nothing was planned."""
        price = self._generation.price
        return price.cost(spent.input_tokens, spent.output_tokens) if price else 0.0

    def pay(self, usd: float) -> None:
        """Add to what the generation has spent, and see what others have spent meanwhile."""
        name = self._generation.generation_id
        self._generation = self._generations.add_spent(name, usd) or self._generation

    def halt(self, reason: str) -> None:
        """Ask for nothing more: the teacher cannot be asked at all."""
        name = self._generation.generation_id
        self._generation = self._generations.note(name, halted=reason) or self._generation


class Labeller:
    """Labels batches; built once per execution environment."""

    def __init__(
        self,
        settings: LabelSettings,
        *,
        converse: Converse | None = None,
        claims: BasePersistenceLayer | None = None,
    ) -> None:
        self._settings = settings
        self._converse = converse or Converse()
        self._paid = PaidCalls("label", settings.idempotency_table, claims)
        self._generations = Generations(settings.generations_table)
        self._labels = Labels(settings.labels_table)
        self._queue = Queue(settings.label_queue_url)
        self._dead_letters = Queue(settings.dead_letter_queue_url)
        bucket = Bucket(settings.data_bucket)
        # A generation's copy never changes.
        self._channel_config = lru_cache(maxsize=8)(lambda name: generation_channel_config(bucket, name))

    def label(self, records: Iterable[SQSRecord], context: LambdaContext) -> LabelBatch:
        """Label every query of the batch that has no label yet, and store each label as it comes."""
        batch = LabelBatch()
        for record in records:
            try:
                batch.messages[record.message_id] = LabelMessage.model_validate_json(record.body)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                batch.unusable[record.message_id] = f"This is no message of queries to label: {first['msg']}."
        wanted = {
            (message.generation_id, queued.number): queued.query
            for message in batch.messages.values()
            for queued in message.queries
        }
        known = self._labels.known(wanted)
        jobs = {name: self._job(name) for name in sorted({name for name, _ in wanted})}
        missing = [key for key in wanted if key not in known]
        claims = claims_of(context)
        with ThreadPoolExecutor(self._settings.label_concurrency) as pool:
            outcomes = pool.map(
                lambda key: self._settle_query(key, wanted[key], jobs[key[0]], claims, context), missing
            )
            found = dict(zip(missing, outcomes, strict=True))
        batch.failures = {key: failure for key, failure in found.items() if failure is not None}
        for reason in sorted({str(failure) for failure in batch.failures.values()}):
            logger.warning("a query was not labelled", reason=reason)
        return batch

    def settle(self, record: SQSRecord, batch: LabelBatch) -> None:
        """Let a message go, or bury it with the reason; raises Transient when it must come back."""
        if record.message_id in batch.unusable:
            self._dead_letter(record, batch.unusable[record.message_id])
            return
        message = batch.messages[record.message_id]
        keys = [(message.generation_id, queued.number) for queued in message.queries]
        failures = [batch.failures[key] for key in keys if key in batch.failures]
        for failure in failures:
            if isinstance(failure, Transient):
                if received(record) >= self._settings.give_up_after:
                    self._dead_letter(record, f"Given up after {received(record)} tries. {failure}")
                    return
                put_back(self._queue, record, failure)
                raise failure
        lost = next((failure for failure in failures if not isinstance(failure, LetGo)), None)
        if lost is not None:
            self._dead_letter(record, str(lost))

    def _job(self, name: str) -> _Job | DistilleryError:
        try:
            generation = self._generations.get(name)
            return _Job(generation, self._channel_config(name), self._generations)
        except DistilleryError as error:
            return error

    def _settle_query(
        self,
        key: Key,
        query: str,
        job: _Job | DistilleryError,
        claims: IdempotencyConfig,
        context: LambdaContext,
    ) -> DistilleryError | None:
        """Label and store one query; returns what kept it from that."""
        if isinstance(job, DistilleryError):
            return job
        try:
            self._labels.store(self._label(key, query, job, claims, context))
        except (AccessDenied, Missing) as error:
            job.halt(f"The teacher cannot be asked. {error}")
            return error
        except DistilleryError as error:
            return error
        return None

    def _label(
        self, key: Key, query: str, job: _Job, claims: IdempotencyConfig, context: LambdaContext
    ) -> Label:
        paid = 0.0

        def ask(target: Target, text: str) -> Reply:
            job.require_open()
            require_time(context)
            return self._converse.ask(target.model_id, target.system, text)

        def call() -> dict[str, Any]:
            nonlocal paid
            spent = Spent()
            try:
                answer = _answer(query, job, ask, spent)
            finally:
                paid = job.cost(spent)
            return answer | {
                "input_tokens": spent.input_tokens,
                "output_tokens": spent.output_tokens,
                "cost_usd": paid,
            }

        generation, number = key
        try:
            answer = self._paid.once({"generation": generation, "number": number}, call, claims)
        finally:
            if paid:
                job.pay(paid)
        return Label(generation_id=generation, number=number, query=query, labelled_at=now(), **answer)

    def _dead_letter(self, record: SQSRecord, reason: str) -> None:
        self._dead_letters.dead_letter(record.body, reason)
        logger.warning("message buried", message_id=record.message_id, reason=reason)


def _answer(query: str, job: _Job, ask: Any, spent: Spent) -> dict[str, Any]:
    """The teacher's weights, or why this query has none; what stops every query passes through."""
    try:
        routing = readable(query, job.target, ask, job.channel_config, spent)
    except UnreadableRouting as error:
        return {"reason": error.message}
    except (AccessDenied, Missing):
        raise
    except Permanent as error:
        return {"reason": error.message}  # this query is refused, not the teacher
    return {
        "weights": routing.weights,
        "reasoning": routing.reasoning,
        "repairs": [repair.value for repair in routing.repairs],
    }

"""`Model Deployed`: collect every candidate's answers to the holdout, then start the evaluation jobs.

An evaluation job cannot call a deployment, so Converse collects the answers. Latency and tokens therefore
belong to the answers that are judged. Each answer is stored as it comes, so an invocation that continues the
evaluation calls the models only for the missing ones.
"""

from __future__ import annotations

import itertools
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from distillery.aws.bedrock.converse import Converse
from distillery.aws.bedrock.evaluations import Judgement
from distillery.aws.bedrock.models import on_demand_id
from distillery.aws.bucket import (
    EXPIRING,
    Bucket,
    judge_input_key,
    judge_output_prefix,
    predictions_key,
    run_key,
)
from distillery.aws.clients import AccessDenied, Missing
from distillery.aws.idempotent_calls import IdempotentCalls, idempotency_config, require_time
from distillery.aws.stack_config import run_channel_config
from distillery.dataset.records import Record, check_line
from distillery.errors import Permanent, Transient, UnreadableRouting
from distillery.evaluation.answers import Answer, dump_answers, load_answers
from distillery.evaluation.judging import judge_records
from distillery.runs.states import CANDIDATES, Run, Stage, State, evaluation_job_name
from distillery.task.answers import parse_routing
from distillery.task.prompts import judge_instructions, student_prompt, teacher_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from distillery.settings import EvaluateSettings
    from distillery.steps.run_steps import RunSteps
    from distillery.task.channels import ChannelConfig

STEP = "evaluate_model"
WARM_UPS = 3
"""First answers of a candidate whose latency is not counted, and which are asked for one after another."""
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 20.0
TEACHER = "teacher"
JSONL = "application/jsonl"
logger = Logger(child=True)


@dataclass(frozen=True, slots=True)
class AnsweringModel:
    """A model that answers the holdout: a candidate, or the teacher when the holdout has no labels."""

    name: str
    model_id: str
    system: str


def ready_for_evaluation(run_id: str, steps: RunSteps) -> bool:
    """Return whether to start the evaluation. Moves the run to EVALUATING once its deployment is active."""
    run = steps.run_store.get(run_id)
    if run.state is State.DEPLOYING and run.deployment_arn:
        with steps.fail_on_error(run, STEP):
            deployment = steps.deployments.get(run.deployment_arn)
            if deployment.status == "Failed":
                raise Permanent(f"The deployment failed. {deployment.failure}".strip())
            if deployment.status == "Active":
                steps.watch(run_id, Stage.EVALUATION)
                steps.run_store.move(run_id, State.EVALUATING, step=STEP)
        run = steps.run_store.get(run_id)
    return run.state is State.EVALUATING and not run.is_being_judged


def evaluate_model(
    run_id: str,
    settings: EvaluateSettings,
    steps: RunSteps,
    context: LambdaContext,
    *,
    converse: Converse | None = None,
) -> None:
    """Collect the answers and start one evaluation job per candidate.

    Throttling and other transient errors of a model only delay the evaluation: raises OutOfTime when answers
    are missing near the end of the invocation. The poller then sends `Model Deployed` again, until the
    deadline of the run. The caller makes sure that only one function at a time does this for a run.
    """
    run = steps.run_store.get(run_id)
    bucket = Bucket(settings.data_bucket)
    if run.state is State.EVALUATING:
        with steps.fail_on_error(run, STEP):
            channel_config = run_channel_config(bucket, run_id)
            _Evaluator(run, settings, bucket, converse or Converse(), channel_config, context).start(steps)
    steps.conclude(run_id, State.EVALUATING)


class _Evaluator:
    """Collects the answers of one run and starts its evaluation jobs."""

    def __init__(
        self,
        run: Run,
        settings: EvaluateSettings,
        bucket: Bucket,
        converse: Converse,
        channel_config: ChannelConfig,
        context: LambdaContext,
    ) -> None:
        self._run, self._settings, self._bucket = run, settings, bucket
        self._converse, self._channel_config, self._context = converse, channel_config, context
        self._calls = IdempotentCalls("answer", settings.idempotency_table)
        self._config = idempotency_config(context, settings.evaluation_deadline_seconds)

    def start(self, steps: RunSteps) -> None:
        """Collect every candidate's answers, then start the jobs and record each of them."""
        holdout = self._holdout()
        if any(record.label is None for record in holdout):
            holdout = self._labelled_by_teacher(holdout)
        with ThreadPoolExecutor(len(CANDIDATES)) as pool:
            collected = pool.map(partial(self._answers, holdout=holdout), self._candidates())
            answers = dict(zip(CANDIDATES, collected, strict=True))
        jobs: dict[str, str] = {}
        for candidate in CANDIDATES:
            jobs[candidate] = self._judge(candidate, answers[candidate], steps)
            steps.run_store.note(self._run.run_id, evaluation_jobs=jobs)

    def _holdout(self) -> list[Record]:
        content = self._bucket.read(run_key(self._run.run_id, "holdout.jsonl"))
        checked = [
            check_line(line, i, self._channel_config.names) for i, line in enumerate(content.splitlines(), 1)
        ]
        records = [entry.record for entry in checked if entry.record is not None]
        if len(records) < len(checked) or not records:
            raise Permanent(f"The holdout of run {self._run.run_id} is not the one that validation wrote.")
        return records

    def _candidates(self) -> list[AnsweringModel]:
        student, teacher = student_prompt(self._channel_config), teacher_prompt(self._channel_config)
        models = {
            "distilled": (self._run.deployment_arn or "", student),
            "untuned": (on_demand_id(self._run.models["student"]), student),
            "baseline": (self._run.models["baseline"], teacher),
        }
        return [AnsweringModel(name, *models[name]) for name in CANDIDATES]

    def _labelled_by_teacher(self, prompts: Sequence[Record]) -> list[Record]:
        """Return the holdout with the teacher's answers as labels, without the queries it did not answer."""
        teacher = AnsweringModel(TEACHER, self._run.models["teacher"], teacher_prompt(self._channel_config))
        labelled = []
        for record, answer in zip(prompts, self._answers(teacher, holdout=prompts), strict=True):
            try:
                routing = parse_routing(
                    answer.text or "", self._channel_config.names, given=(teacher.system, answer.query)
                )
            except UnreadableRouting:
                continue
            labelled.append(record._replace(label=routing.weights, reasoning=routing.reasoning))
        if not labelled:
            raise Permanent(
                "The teacher gave no readable answer to any query of the holdout, so there is no reference."
            )
        return labelled

    def _answers(self, model: AnsweringModel, holdout: Sequence[Record]) -> list[Answer]:
        key = predictions_key(self._run.run_id, model.name)
        if self._bucket.has(key):
            return load_answers(self._bucket.read(key))
        ask = partial(self._ask, model)
        numbered = list(enumerate(holdout))
        answers = [ask(*entry) for entry in numbered[:WARM_UPS]]
        with ThreadPoolExecutor(self._settings.evaluation_concurrency) as pool:
            futures = [pool.submit(ask, *entry) for entry in numbered[WARM_UPS:]]
        answers += [future.result() for future in futures]
        self._bucket.put(key, dump_answers(answers), JSONL, EXPIRING)
        logger.info("holdout answered", candidate=model.name, answers=len(answers))
        return answers

    def _ask(self, model: AnsweringModel, number: int, record: Record) -> Answer:
        """Return the answer to a query of the holdout; asks until there is one. Raises OutOfTime."""
        key = {"run": self._run.run_id, "candidate": model.name, "query": number}
        for attempt in itertools.count():
            require_time(self._context)
            try:
                stored = self._calls.once(key, partial(self._call, model, number, record), self._config)
            except Transient:
                ceiling = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(attempt, 10))
                time.sleep(random.uniform(ceiling / 2, ceiling))  # noqa: S311 (spreads retries)
            else:
                return Answer.model_validate(stored)
        raise AssertionError("itertools.count has no end")

    def _call(self, model: AnsweringModel, number: int, record: Record) -> dict[str, Any]:
        answer = Answer(query=record.query, reference=record.label, text=None, warm_up=number < WARM_UPS)
        try:
            reply = self._converse.ask(model.model_id, model.system, record.query)
        except (AccessDenied, Missing):
            raise
        except Permanent as error:
            # The model refuses this query. The query counts as a failed answer; the run goes on.
            return answer.model_copy(update={"error": error.message}).model_dump()
        return answer.model_copy(
            update={
                "text": reply.text,
                "latency_ms": reply.latency_ms,
                "input_tokens": reply.input_tokens,
                "output_tokens": reply.output_tokens,
            }
        ).model_dump()

    def _judge(self, candidate: str, answers: Sequence[Answer], steps: RunSteps) -> str:
        run_id = self._run.run_id
        key = judge_input_key(run_id, candidate)
        records = judge_records(answers, candidate, student_prompt(self._channel_config))
        self._bucket.put(key, records, JSONL, EXPIRING)
        return steps.evaluations.start(
            Judgement(
                name=evaluation_job_name(run_id, candidate),
                candidate=candidate,
                role_arn=self._settings.bedrock_role_arn,
                judge=self._run.models["judge"],
                instructions=judge_instructions(self._channel_config),
                dataset_uri=self._bucket.uri(key),
                output_uri=self._bucket.uri(judge_output_prefix(run_id, candidate)),
            )
        )

"""Sample data for tests: answers of candidates, their evaluation, and the run and dataset they belong to."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from distillery.cost.prices import price_list
from distillery.dataset.records import Record, training_line
from distillery.dataset.validation import DatasetReport, Rules, validate_dataset
from distillery.evaluation.answers import Answer
from distillery.evaluation.evaluation import CandidateInput, Evaluation, evaluate_candidates
from distillery.evaluation.gate import GateRules
from distillery.evaluation.metrics import CandidateMetrics, candidate_metrics, score_answers
from distillery.runs.states import Move, Run, Source, State
from distillery.task.channels import Channel, ChannelConfig, default_channel_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from distillery.cost.prices import Price
    from distillery.evaluation.judging import JudgeGrades
    from distillery.runs.states import Candidate

RUN = "harbour-0123456789ab"
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MICRO = "amazon.nova-micro-v1:0:128k"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA_PRO = "amazon.nova-pro-v1:0"
SERVED_BY = "Emulated (local stand-in for Amazon; proves the pipeline, not the model)"
EMULATED = (SERVED_BY, SERVED_BY)


def channel_config_of(size: int) -> ChannelConfig:
    """The default channel configuration for 4 channels, else `size` channels with short and long names."""
    if size == 4:
        return default_channel_config()
    names = ["colour", "a_very_long_name_of_a_channel", "x", "mood", "pace", "place"][:size]
    return ChannelConfig(
        subject="sound search",
        channels=tuple(Channel(name=name, description=name) for name in names),
        fallback={name: 1.0 if index == 0 else 0.0 for index, name in enumerate(names)},
        label_grid=0.1,
    )


def label(channel_config: ChannelConfig, first: float) -> dict[str, float]:
    """Weights with `first` on the first channel and the remainder on the second."""
    names = channel_config.names
    return {**dict.fromkeys(names, 0.0), names[0]: round(first, 3), names[1]: round(1 - first, 3)}


def answer(
    channel_config: ChannelConfig, number: int, *, error: float = 0.0, text: str | None = None
) -> Answer:
    """An answer whose weights differ by `error` from its reference, or an answer with this `text`."""
    reference = label(channel_config, 0.6)
    output = {**label(channel_config, 0.6 - error), "reasoning": f"Reason {number}."}
    return Answer(
        query=f"query {number}",
        reference=reference,
        text=json.dumps(output) if text is None else text,
        latency_ms=100.0 + number,
        input_tokens=50,
        output_tokens=100,
    )


def accurate_answers(channel_config: ChannelConfig, size: int = 60) -> list[Answer]:
    """Answers of a model with small errors: weight scores 5, 4 and 2."""
    return [answer(channel_config, number, error=(0.0, 0.0, 0.1, 0.2)[number % 4]) for number in range(size)]


def unreadable_answers(channel_config: ChannelConfig, size: int = 60) -> list[Answer]:
    """Answers without weights."""
    return [answer(channel_config, number, text="I would rather not.") for number in range(size)]


def metrics_of(
    answers: Sequence[Answer],
    channel_config: ChannelConfig,
    price: Price | None = None,
    grades: JudgeGrades | None = None,
) -> CandidateMetrics:
    """The metrics of a candidate with these answers."""
    channels = channel_config.names
    return candidate_metrics(score_answers(answers, channels), channels, price, grades)


def evaluation_of(
    channel_config: ChannelConfig,
    answers: Mapping[Candidate, Sequence[Answer]],
    grades: Mapping[str, JudgeGrades] | None = None,
    *,
    student: str = MICRO,
    rules: GateRules | None = None,
    teacher: Sequence[Answer] = (),
) -> Evaluation:
    """An evaluation of candidates with these answers."""
    prices = price_list()
    models = {"distilled": (student, True), "untuned": (student, False), "baseline": (HAIKU, False)}
    candidates = {
        name: CandidateInput(
            models[name][0],
            candidate_answers,
            prices.find(models[name][0], customised=models[name][1]),
            (grades or {}).get(name),
        )
        for name, candidate_answers in answers.items()
    }
    return evaluate_candidates(
        RUN,
        candidates,
        channel_config,
        rules or GateRules(),
        served_by=EMULATED,
        reference="labels",
        prices_as_of=prices.as_of,
        at=START + timedelta(seconds=30),
        teacher=CandidateInput(NOVA_PRO, teacher, prices.find(NOVA_PRO)) if teacher else None,
    )


def sample_run(**changes: Any) -> Run:
    """A run in the state EVALUATING, with these fields changed."""
    states = [State.RECEIVED, State.VALIDATED, State.TRAINING, State.DEPLOYING, State.EVALUATING]
    entry: dict[str, Any] = {
        "run_id": RUN,
        "state": State.EVALUATING,
        "dataset": "harbour",
        "source": Source(bucket="data", key="datasets/harbour/a.jsonl", version_id="v7"),
        "history": [
            Move(state=state, at=START + timedelta(seconds=5 * number), step=f"step_{number}")
            for number, state in enumerate(states)
        ],
        "channel_config_digest": "aaaabbbbcccc",
        "prompt_digests": {"student": "111122223333"},
        "models": {"teacher": "amazon.nova-pro-v1:0"},
        "job_arn": "arn:aws:bedrock:us-east-1:123456789012:model-customization-job/x/1",
        "model_arn": "arn:aws:bedrock:us-east-1:123456789012:custom-model/x/1",
        "deployment_arn": "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/1",
        "active_model_version_before": 4,
    }
    return Run.model_validate(entry | changes)


def validation_report(channel_config: ChannelConfig, *, labelled: bool = True) -> DatasetReport:
    """The validation report of a dataset of 120 queries."""
    records = [
        Record(n, f"query {n}", label(channel_config, n % 11 / 10) if labelled else None, "", "")
        for n in range(1, 121)
    ]
    stream = io.BytesIO(b"".join(training_line(record, "weigh it") for record in records))
    return validate_dataset(
        stream, channel_config=channel_config, rules=Rules(), train=io.BytesIO(), holdout=io.BytesIO()
    )

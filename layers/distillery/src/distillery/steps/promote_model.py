"""`Evaluation Finished`: gather the measurements, decide, and move the active model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.aws.active_model import ActiveModel, ActiveModelParameter
from distillery.aws.bedrock.evaluations import METRIC
from distillery.aws.bedrock.models import on_demand_id
from distillery.aws.bucket import Bucket, judge_output_prefix, predictions_key, run_key
from distillery.aws.stack_config import run_channel_config, stack_prices
from distillery.dataset.validation import DatasetReport
from distillery.errors import Permanent
from distillery.evaluation.answers import load_answers
from distillery.evaluation.evaluation import CandidateInput, Evaluation, evaluate_candidates
from distillery.evaluation.gate import GateRules
from distillery.evaluation.judging import is_judge_output, read_judge_outputs
from distillery.reports.run_report import render_run_report
from distillery.runs.states import CANDIDATES, Candidate, Run, State, now

if TYPE_CHECKING:
    from distillery.cost.prices import Price
    from distillery.settings import PromoteSettings
    from distillery.steps.run_steps import Pipeline

STEP = "promote_model"
VALIDATION, EVALUATION, REPORT = "validation.json", "evaluation.json", "report.html"
logger = Logger(child=True)


def promote_model(
    run_id: str,
    settings: PromoteSettings,
    pipeline: Pipeline,
    *,
    active_model: ActiveModelParameter | None = None,
) -> Run:
    """Decide on a run and return it as it is afterwards.

    The verdict is in the run table before the parameter moves, so that a run that is in charge is never one
    that may still fail. A run whose verdict was never announced was left by a function that died in between;
    what is left to do is done then.
    """
    parameter = active_model or ActiveModelParameter(settings.active_model_parameter)
    bucket = Bucket(settings.data_bucket)
    run = pipeline.run_store.get(run_id)
    if run.state is State.EVALUATING and run.is_being_judged:
        with pipeline.failing(run_id, STEP):
            _decide(run, settings, pipeline, parameter, bucket)
        run = pipeline.run_store.get(run_id)
    if run.state in {State.PROMOTED, State.NOT_PROMOTED} and run.announced is not run.state:
        run = _conclude(run, pipeline, parameter)
        _write_report(run, bucket)
        pipeline.announce(run)
    return pipeline.run_store.get(run_id)


def _decide(
    run: Run,
    settings: PromoteSettings,
    pipeline: Pipeline,
    parameter: ActiveModelParameter,
    bucket: Bucket,
) -> None:
    """Measure, write evaluation.json, and move the run to its verdict."""
    jobs = {candidate: pipeline.evaluations.get(arn) for candidate, arn in run.evaluation_jobs.items()}
    if not all(job.ended for job in jobs.values()):
        logger.info("a judge is still at work")
        return
    for candidate, job in jobs.items():
        if job.status != "Completed":
            raise Permanent(
                f"The evaluation job of candidate {candidate} ended as {job.status}. {job.failure}".strip()
            )
    evaluation = _evaluate(run, settings, bucket)
    document = evaluation.model_dump_json(indent=2).encode()
    bucket.put(run_key(run.run_id, EVALUATION), document, "application/json")
    _, version = parameter.read()
    pipeline.run_store.move(
        run.run_id,
        State.PROMOTED if evaluation.verdict.promote else State.NOT_PROMOTED,
        step=STEP,
        scores=evaluation.scores(),
        reasons=evaluation.verdict.reasons,
        active_model_version_before=version,
        report_key=run_key(run.run_id, REPORT),
    )


def _evaluate(run: Run, settings: PromoteSettings, bucket: Bucket) -> Evaluation:
    prices = stack_prices(bucket)
    student = settings.student_model
    models: dict[Candidate, tuple[str, Price | None]] = {
        "distilled": (run.deployment_arn or "", prices.find(student, customised=True)),
        "untuned": (on_demand_id(student), prices.find(student)),
        "baseline": (settings.baseline_model, prices.find(settings.baseline_model)),
    }
    grades = read_judge_outputs(
        {candidate: _judge_output(run.run_id, candidate, bucket) for candidate in CANDIDATES}, METRIC
    )
    candidates = {
        candidate: CandidateInput(
            model_id=models[candidate][0],
            answers=load_answers(bucket.read(predictions_key(run.run_id, candidate))),
            price=models[candidate][1],
            grades=grades.get(candidate),
        )
        for candidate in CANDIDATES
    }
    return evaluate_candidates(
        run.run_id,
        candidates,
        run_channel_config(bucket, run.run_id),
        GateRules(
            min_weight_score=settings.min_weight_score,
            max_weight_score_loss=settings.max_weight_score_loss,
            min_valid_json=settings.min_valid_json,
            max_cost_share=settings.max_cost_share,
        ),
        served_by=run.served_by,
        reference=_validation(run, bucket).reference,
        prices_as_of=prices.as_of,
        at=now(),
    )


def _judge_output(run_id: str, candidate: str, bucket: Bucket) -> list[bytes]:
    keys = bucket.keys(judge_output_prefix(run_id, candidate))
    return [bucket.read(key) for key in keys if is_judge_output(key)]


def _validation(run: Run, bucket: Bucket) -> DatasetReport:
    return DatasetReport.model_validate_json(bucket.read(run_key(run.run_id, VALIDATION)))


def _conclude(run: Run, pipeline: Pipeline, parameter: ActiveModelParameter) -> Run:
    """Put the model in charge, or take its deployment away; both may be done again."""
    if run.state is State.NOT_PROMOTED:
        # An account has ten deployments; the custom model stays.
        pipeline.deployments.delete(run.run_id)
        return run
    if run.active_model_version_after is not None or run.superseded:
        return run
    text, version = parameter.read()
    before = run.active_model_version_before or 0
    if version == before:
        model = ActiveModel(
            run_id=run.run_id, model_id=run.deployment_arn or "", prompt="student", promoted_at=now()
        )
        version = parameter.write(model)
    elif run.run_id not in text:
        logger.warning("the active model was moved meanwhile and stays", run_id=run.run_id)
        pipeline.deployments.delete(run.run_id)
        return pipeline.run_store.note(run.run_id, superseded=True) or run
    return pipeline.run_store.note(run.run_id, active_model_version_after=version) or run


def _write_report(run: Run, bucket: Bucket) -> None:
    evaluation = Evaluation.model_validate_json(bucket.read(run_key(run.run_id, EVALUATION)))
    page = render_run_report(
        evaluation, run, _validation(run, bucket), run_channel_config(bucket, run.run_id)
    )
    bucket.put(run_key(run.run_id, REPORT), page.encode(), "text/html; charset=utf-8")

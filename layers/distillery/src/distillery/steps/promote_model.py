"""`Evaluation Finished`: compute the metrics, decide, and change the active model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from distillery.aws.active_model import ActiveModel, ActiveModelParameter
from distillery.aws.bedrock.evaluations import METRIC
from distillery.aws.bedrock.models import on_demand_id
from distillery.aws.bucket import Bucket, judge_output_prefix, predictions_key, run_key
from distillery.aws.stack_config import run_channel_config, stack_prices
from distillery.cost.estimate import Estimate
from distillery.dataset.validation import DatasetReport
from distillery.errors import Permanent, Transient
from distillery.evaluation.answers import load_answers
from distillery.evaluation.evaluation import CandidateInput, Evaluation, evaluate_candidates
from distillery.evaluation.gate import GateRules
from distillery.evaluation.judging import is_judge_output, read_judge_outputs
from distillery.reports.run_report import render_run_report
from distillery.runs.states import CANDIDATES, Candidate, Run, State, now
from distillery.steps.cost_checks import ESTIMATE_KEY
from distillery.steps.evaluate_model import TEACHER

if TYPE_CHECKING:
    from distillery.cost.prices import Price, PriceList
    from distillery.settings import PromoteSettings
    from distillery.steps.run_steps import RunSteps

STEP = "promote_model"
VALIDATION, EVALUATION, REPORT = "validation.json", "evaluation.json", "report.html"
logger = Logger(child=True)


class VerdictPending(Transient):
    """An evaluation job of the run is still running. The poller sends the event again when it has ended."""


def promote_model(
    run_id: str,
    settings: PromoteSettings,
    steps: RunSteps,
    *,
    active_model: ActiveModelParameter | None = None,
) -> Run:
    """Decide on a run. Returns the run as it is afterwards. Raises VerdictPending while a job is running.

    The caller makes sure that only one function at a time does this for a run: one that writes the
    active-model parameter late would undo what a later promotion wrote.

    The verdict is in the run table before the active-model parameter changes, so the active model never
    belongs to a run that may still fail. A run whose verdict was not announced was left by a function that
    stopped in between; this function completes it.
    """
    parameter = active_model or ActiveModelParameter(settings.active_model_parameter)
    bucket = Bucket(settings.data_bucket)
    run = steps.run_store.get(run_id)
    if run.state is State.EVALUATING:
        with steps.fail_on_error(run, STEP):
            _decide(run, settings, steps, parameter, bucket)
        run = steps.run_store.get(run_id)
    if run.state in {State.PROMOTED, State.NOT_PROMOTED} and run.announced is not run.state:
        run = _apply_verdict(run, steps, parameter)
        _write_report(run, bucket)
        steps.announce(run)
    return steps.run_store.get(run_id)


def _decide(
    run: Run,
    settings: PromoteSettings,
    steps: RunSteps,
    parameter: ActiveModelParameter,
    bucket: Bucket,
) -> None:
    """Compute the metrics, write evaluation.json, and move the run to PROMOTED or NOT_PROMOTED."""
    jobs = {candidate: steps.evaluations.get(arn) for candidate, arn in run.evaluation_jobs.items()}
    if not (run.is_being_judged and all(job.ended for job in jobs.values())):
        raise VerdictPending(f"An evaluation job of run {run.run_id} is still running.")
    for candidate, job in jobs.items():
        if job.status != "Completed":
            raise Permanent(
                f"The evaluation job of {candidate} ended with status {job.status}. {job.failure}".strip()
            )
    validation = _validation(run, bucket)
    evaluation = _evaluate(run, settings, bucket, validation)
    document = evaluation.model_dump_json(indent=2).encode()
    bucket.put(run_key(run.run_id, EVALUATION), document, "application/json")
    _, version = parameter.read()
    steps.run_store.move(
        run.run_id,
        State.PROMOTED if evaluation.verdict.promote else State.NOT_PROMOTED,
        step=STEP,
        scores=evaluation.scores(),
        measured_cost=measured.model_dump() if (measured := evaluation.measured_cost()) else None,
        warnings=[
            *run.warnings,
            *evaluation.caveats(trained_on_holdout=validation.trained_on_holdout),
        ],
        reasons=evaluation.verdict.reasons,
        active_model_version_before=version,
        report_key=run_key(run.run_id, REPORT),
    )


def _evaluate(run: Run, settings: PromoteSettings, bucket: Bucket, validation: DatasetReport) -> Evaluation:
    prices = stack_prices(bucket)
    student, baseline = run.models["student"], run.models["baseline"]
    models: dict[Candidate, tuple[str, Price | None]] = {
        "distilled": (run.deployment_arn or "", prices.find(student, customised=True)),
        "untuned": (on_demand_id(student), prices.find(student)),
        "baseline": (baseline, prices.find(baseline)),
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
        reference=validation.reference,
        prices_as_of=prices.as_of,
        at=now(),
        teacher=_teacher(run, bucket, prices) if validation.reference == "teacher" else None,
    )


def _teacher(run: Run, bucket: Bucket, prices: PriceList) -> CandidateInput:
    """The teacher's answers to a holdout without labels."""
    model = run.models["teacher"]
    answers = load_answers(bucket.read(predictions_key(run.run_id, TEACHER)))
    return CandidateInput(model, answers, prices.find(model))


def _judge_output(run_id: str, candidate: str, bucket: Bucket) -> list[bytes]:
    keys = bucket.keys(judge_output_prefix(run_id, candidate))
    return [bucket.read(key) for key in keys if is_judge_output(key)]


def _validation(run: Run, bucket: Bucket) -> DatasetReport:
    return DatasetReport.model_validate_json(bucket.read(run_key(run.run_id, VALIDATION)))


def _apply_verdict(run: Run, steps: RunSteps, parameter: ActiveModelParameter) -> Run:
    """Make the model the active model, or delete its deployment. Both are safe to repeat."""
    if run.state is State.NOT_PROMOTED:
        # The deployment is deleted because an account may have ten of them. The custom model stays.
        steps.deployments.delete(run.run_id)
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
        logger.warning("another model became active in the meantime and stays active", run_id=run.run_id)
        steps.deployments.delete(run.run_id)
        return steps.run_store.note(run.run_id, superseded=True) or run
    return steps.run_store.note(run.run_id, active_model_version_after=version) or run


def _write_report(run: Run, bucket: Bucket) -> None:
    evaluation = Evaluation.model_validate_json(bucket.read(run_key(run.run_id, EVALUATION)))
    key = run_key(run.run_id, ESTIMATE_KEY)
    page = render_run_report(
        evaluation,
        run,
        _validation(run, bucket),
        run_channel_config(bucket, run.run_id),
        Estimate.model_validate_json(bucket.read(key)) if bucket.has(key) else None,
    )
    bucket.put(run_key(run.run_id, REPORT), page.encode(), "text/html; charset=utf-8")

"""`Dataset Validated`: make sure that the models exist, then start the customization job, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.bedrock.jobs import Distillation
from distillery.bedrock.models import FoundationModels
from distillery.objects import Bucket, run_key, training_output_prefix
from distillery.runs import Stage, State

if TYPE_CHECKING:
    from distillery.runs import Run
    from distillery.settings import StartSettings
    from distillery.steps.pipeline import Pipeline

STEP = "start_distillation"


def start_distillation(
    run_id: str, settings: StartSettings, pipeline: Pipeline, models: FoundationModels | None = None
) -> Run:
    """Start the run's job and return the run as it is afterwards.

    The move to TRAINING comes first: it is the claim, and it is in the ledger before Bedrock can say that
    the job has ended. A run found in TRAINING without a job was left by a function that died or by a full
    quota; the job's name makes starting it again safe.
    """
    run = pipeline.ledger.get(run_id)
    if run.state is State.VALIDATED:
        with pipeline.failing(run_id, STEP):
            asked = _check_models(settings, models or FoundationModels())
            pipeline.watch(run_id, Stage.DISTILLATION)
            pipeline.ledger.move(run_id, State.TRAINING, step=STEP, models=asked[0], served_by=asked[1])
        run = pipeline.ledger.get(run_id)
    if run.state is State.TRAINING and run.job_arn is None:
        with pipeline.failing(run_id, STEP):
            bucket = Bucket(settings.data_bucket)
            job = pipeline.jobs.start(
                Distillation(
                    name=run_id,
                    teacher=settings.teacher_model,
                    student=settings.student_model,
                    role_arn=settings.bedrock_role_arn,
                    training_uri=bucket.uri(run_key(run_id, "train.jsonl")),
                    output_uri=bucket.uri(training_output_prefix(run_id)),
                )
            )
            pipeline.record(run_id, State.TRAINING, job_arn=job.arn)
    return pipeline.ledger.get(run_id)


def _check_models(settings: StartSettings, models: FoundationModels) -> tuple[dict[str, str], list[str]]:
    """The models' ids by role, and who serves them."""
    roles = {
        "teacher": settings.teacher_model,
        "student": settings.student_model,
        "baseline": settings.baseline_model,
        "judge": settings.judge_model,
    }
    found = [
        models.require_active(roles["teacher"], "teacher"),
        models.require_active(roles["student"], "student"),
    ]
    found += [models.get(roles["baseline"]), models.get(roles["judge"])]
    return roles, sorted({model.provider for model in found})

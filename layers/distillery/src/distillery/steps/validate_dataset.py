"""An object in `datasets/`: create the run, check every line, split off the holdout."""

from __future__ import annotations

import tempfile
import uuid
from typing import TYPE_CHECKING, Any

from distillery.aws import clients
from distillery.aws.bucket import Bucket, attempt_prefix
from distillery.aws.content_owners import ContentOwners
from distillery.aws.holdout_store import Holdouts
from distillery.aws.stack_config import pin_channel_config
from distillery.dataset import validation
from distillery.dataset.validation import DatasetReport, Rules
from distillery.reports.validation_report import render_validation
from distillery.runs.fingerprints import training_fingerprint, verdict_fingerprint
from distillery.runs.names import dataset_name
from distillery.runs.states import AGAIN, Run, Source, Stage, State, run_id
from distillery.steps.validated_files import publish_files
from distillery.task.channels import text_digest
from distillery.task.prompts import student_prompt, teacher_prompt

if TYPE_CHECKING:
    from collections.abc import Collection

    from distillery.settings import ValidateSettings
    from distillery.steps.run_steps import RunSteps
    from distillery.task.channels import ChannelConfig

STEP = "validate_dataset"


def validate_dataset(
    source: Source,
    settings: ValidateSettings,
    steps: RunSteps,
    *,
    owners: ContentOwners | None = None,
    holdouts: Holdouts | None = None,
) -> Run:
    """Validate one version of one object. Returns its run as it is afterwards.

    Each execution writes objects of its own. Those of the one that moves the run become the run's.
    """
    name = run_id(source.bucket, source.key, source.version)
    known = steps.run_store.find(name)
    if known is None or known.state is State.RECEIVED:
        steps.watch(name, Stage.VALIDATION)
    run = steps.run_store.receive(name, source)
    if run.state is State.RECEIVED:
        with steps.fail_on_error(run, STEP):
            _validate(
                run,
                settings,
                steps,
                owners or ContentOwners(settings.claims_table),
                holdouts or Holdouts(settings.claims_table),
            )
        run = steps.run_store.get(name)
    if run.state in {State.VALIDATED, State.REJECTED, State.DUPLICATE} and run.announced is not run.state:
        publish_files(run, Bucket(settings.data_bucket))
        steps.announce(run)
    return steps.run_store.get(name)


def _validate(
    run: Run, settings: ValidateSettings, steps: RunSteps, owners: ContentOwners, holdouts: Holdouts
) -> None:
    """Check the object and move its run. The held-out queries are stored before any run can train on them."""
    bucket = Bucket(settings.data_bucket)
    channel_config = pin_channel_config(bucket, run.run_id)
    before, held = holdouts.read(run.dataset), set[bytes]()
    files = attempt_prefix(run.run_id, uuid.uuid4().hex[:12])
    report = _check(run, settings, bucket, channel_config, before.keys, held, files)
    lineage = _lineage(report, channel_config, settings) | {"files": files}
    if not report.valid:
        steps.run_store.move(run.run_id, State.REJECTED, step=STEP, reasons=report.reasons, **lineage)
        return
    lineage["again"] = bucket.metadata(run.source.key, run.source.version_id).get(AGAIN) == "true"
    owner = _owner(f"verdict/{lineage['verdict_fingerprint']}", run.run_id, steps, owners)
    if owner != run.run_id and not lineage["again"]:
        steps.run_store.move(run.run_id, State.DUPLICATE, step=STEP, duplicate_of=owner, **lineage)
        return
    holdouts.add(run.dataset, held, known=before)
    steps.run_store.move(run.run_id, State.VALIDATED, step=STEP, **lineage)


def _check(
    run: Run,
    settings: ValidateSettings,
    bucket: Bucket,
    channel_config: ChannelConfig,
    before: Collection[bytes],
    held: set[bytes],
    files: str,
) -> DatasetReport:
    """Check the object, write the files under a prefix, add the keys of held-out queries to `held`."""
    rules = Rules(
        holdout_share=settings.holdout_share,
        holdout_min=settings.holdout_min,
        holdout_max=settings.holdout_max,
        error_tolerance=settings.error_tolerance,
    )
    with (
        tempfile.TemporaryFile() as train,
        tempfile.TemporaryFile() as holdout,
        tempfile.TemporaryFile() as quarantine,
        tempfile.TemporaryFile() as diff,
    ):
        stream = bucket.stream(run.source.key, run.source.version_id, run.source.etag)
        with clients.explained("read the dataset"):
            report = validation.validate_dataset(
                stream,
                channel_config=channel_config,
                rules=rules,
                train=train,
                holdout=holdout,
                quarantine=quarantine,
                held_before=before,
                held=held,
                diff=diff,
            )
        report = report.model_copy(
            update={"run_id": run.run_id, "dataset": dataset_name(run.source.key), "source": run.source}
        )
        written = {"quarantine.jsonl": quarantine, "fixes.diff": diff}
        if report.valid:
            written |= {"train.jsonl": train, "holdout.jsonl": holdout}
        for name, file in written.items():
            if file.tell():
                bucket.upload(f"{files}{name}", file)
        page = render_validation(report, channel_config).encode()
        bucket.put(f"{files}validation.html", page, "text/html; charset=utf-8")
        document = report.model_dump_json(indent=2).encode()
        bucket.put(f"{files}validation.json", document, "application/json")
    return report


def _lineage(
    report: DatasetReport, channel_config: ChannelConfig, settings: ValidateSettings
) -> dict[str, Any]:
    """Return the parts of a report that the run table keeps."""
    counts = ("lines", "accepted", "fixed", "labelled", "distinct", "errors", "warnings", "train", "holdout")
    prompts = {
        "student": text_digest(student_prompt(channel_config)),
        "teacher": text_digest(teacher_prompt(channel_config)),
    }
    lineage = {
        "counts": {name: getattr(report, name) for name in counts},
        "fingerprint": report.fingerprint,
        "channel_config_digest": channel_config.digest(),
        "prompt_digests": prompts,
        "models": settings.models,
    }
    if report.fingerprint:
        digests = {"channels": channel_config.digest(), "prompts": "/".join(prompts.values())}
        training = training_fingerprint(report.fingerprint, settings.models, digests)
        lineage["training_fingerprint"] = training
        lineage["verdict_fingerprint"] = verdict_fingerprint(training, settings.models, settings.gate)
    return lineage


def _owner(content: str, run_id: str, steps: RunSteps, owners: ContentOwners) -> str:
    """Return the run that owns the verdict: the first one that is neither FAILED nor REJECTED."""
    owner = owners.acquire(content, run_id)
    if owner == run_id:
        return owner
    first = steps.run_store.find(owner)
    if first is None or first.state in {State.FAILED, State.REJECTED}:
        return owners.acquire(content, run_id, instead_of=owner)
    return owner

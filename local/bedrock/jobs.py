"""Model customization jobs, which run in stages and train a linear model."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from distillery.cost.lifecycles import PREMIER, STUDENTS_OF
from distillery.errors import UnreadableRouting
from distillery.linear.model import load
from distillery.task.answers import parse_routing
from distillery.task.channels import default_channel_config
from local.bedrock import iam, training
from local.bedrock.catalogue import foundation_arn, refuse_past_end_of_life
from local.bedrock.context import at_least, logger
from local.bedrock.dataset import read_dataset
from local.bedrock.errors import JobFailed, conflict, invalid, not_found, over_quota
from local.bedrock.objects import RoleObjects, under
from local.bedrock.store import CustomModel, Job, find, listed, new_arn, now
from local.models.distilled import Distilled
from local.models.prompt_reader import channel_config_of_names, channel_config_of_prompt, channels_of_label
from local.models.teacher import Teacher

if TYPE_CHECKING:
    from distillery.task.channels import ChannelConfig
    from distillery.task.weights import Weights
    from local.bedrock.context import Context
    from local.bedrock.dataset import Example
    from local.bedrock.iam import Caller

MAX_SCHEDULED = 10
MAX_MODELS = 100
RUNNING = ("InProgress", "Stopping")
STAGE_SHARES = (0.2, 0.2, 0.6)
"""The shares of a job's time that validation, data processing and training take."""


class Jobs:
    """The operations on model customization jobs."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    async def create(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """CreateModelCustomizationJob: validates everything except the data, which the job reads."""
        student_id = self._student(params)
        arn = new_arn("model-customization-job", student_id)
        model_arn = new_arn("custom-model", student_id)
        caller.require_any(
            "bedrock:CreateModelCustomizationJob", [arn, model_arn, foundation_arn(student_id)]
        )
        caller.require_pass_role(params["roleArn"])
        for tags, tagged in (("jobTags", arn), ("customModelTags", model_arn)):
            if params.get(tags):
                caller.require("bedrock:TagResource", [tagged])
        earlier = self._store.arn_of_token("job", params)
        if earlier:
            return {"jobArn": earlier}
        self._refuse_unsupported(params, student_id)
        self._refuse_over_quota(params)
        session = iam.assume(params["roleArn"], arn)
        job = Job(arn, params, student_id)
        self._store.tag(arn, params.get("jobTags", []))
        self._store.tag(model_arn, params.get("customModelTags", []))
        self._store.jobs[arn] = job
        self._store.keep_token("job", params, arn)
        job.task = self._context.spawn(self._run(job, model_arn, session))
        return {"jobArn": arn}

    def _student(self, params: dict[str, Any]) -> str:
        identifier = params["baseModelIdentifier"].removeprefix(foundation_arn(""))
        model = next((m for m in self._context.catalogue.all() if m.model_id == identifier), None)
        if model is None or not model.customizable:
            raise invalid("The provided model identifier is invalid.")
        return model.model_id

    def _refuse_unsupported(self, params: dict[str, Any], student_id: str) -> None:
        if params.get("customizationType") != "DISTILLATION":
            raise invalid("The Bedrock emulator customizes models by DISTILLATION only.")
        config = params.get("customizationConfig", {}).get("distillationConfig")
        if config is None:
            raise invalid("A customizationConfig with a distillationConfig is required for DISTILLATION.")
        if params.get("hyperParameters"):
            raise invalid("Hyperparameters are not supported for the customization type DISTILLATION.")
        if params.get("vpcConfig") or "s3Uri" not in params["trainingDataConfig"]:
            raise invalid(
                "The Bedrock emulator reads training data from trainingDataConfig.s3Uri only, without a VPC."
            )
        self._refuse_teacher(config["teacherModelConfig"]["teacherModelIdentifier"], student_id)
        refuse_past_end_of_life(self._context.catalogue.get(student_id), now())

    def _refuse_teacher(self, identifier: str, student_id: str) -> None:
        target = self._context.catalogue.target(identifier)
        if student_id not in STUDENTS_OF.get(target.identifier, frozenset()):
            hint = (
                " It is available as a teacher through its inference profile only."
                if identifier == PREMIER
                else ""
            )
            raise invalid(
                f"The teacher model {identifier} is not supported for the student model {student_id}.{hint}"
            )
        refuse_past_end_of_life(target.model, now())

    def _refuse_over_quota(self, params: dict[str, Any]) -> None:
        jobs = self._store.jobs.values()
        if any(job.name == params["jobName"] for job in jobs):
            raise invalid("The provided job name is currently in use.")
        existing = {model.name for model in self._store.models.values()}
        in_progress = {job.request["customModelName"] for job in jobs if job.status in RUNNING}
        if params["customModelName"] in existing | in_progress:
            raise invalid("The provided custom model name is currently in use.")
        running = sum(job.status in RUNNING for job in jobs)
        if running >= MAX_SCHEDULED:
            raise over_quota(f"An account can have {MAX_SCHEDULED} scheduled customization jobs.")
        if len(self._store.models) + running >= MAX_MODELS:
            raise over_quota(f"An account can have {MAX_MODELS} custom models.")

    # Running a job

    async def _run(self, job: Job, model_arn: str, session: iam.Session) -> None:
        try:
            await self._publish_state(job)
            await self._stages(job, model_arn, session)
        except JobFailed as failure:
            await self._end(job, "Failed", str(failure))
        except asyncio.CancelledError:
            if job.status != "Stopping":
                raise
            await asyncio.sleep(min(0.5, self._context.settings.job_seconds / 10))
            await self._end(job, "Stopped")
        except Exception:  # noqa: BLE001  # the job must end after any error
            logger.exception("The customization job %s failed with an internal error", job.name)
            await self._end(job, "Failed", "An internal error occurred. Try again.")

    async def _stages(self, job: Job, model_arn: str, session: iam.Session) -> None:
        validating, processing, training_time = (
            self._context.settings.job_seconds * share for share in STAGE_SHARES
        )
        objects = RoleObjects(self._context.endpoint, session)
        job.validation.move("InProgress")
        async with at_least(validating):
            uri = job.request["trainingDataConfig"]["s3Uri"]
            examples = await asyncio.to_thread(lambda: read_dataset(objects.lines(uri)))
        job.validation.move("Completed")
        job.processing.move("InProgress")
        async with at_least(processing):
            self._refuse_unreachable_teacher(job, session)
            labelled = await asyncio.to_thread(self._labelled, examples)
        job.processing.move("Completed")
        job.training.move("InProgress")
        async with at_least(training_time):
            file = self._context.folder / f"{model_arn.rsplit('/', 1)[-1]}.linear"
            job.loss = await training.train(labelled, file)
            fitted = await asyncio.to_thread(load, file)
            await asyncio.to_thread(objects.put, _metrics_uri(job), _metrics(job.loss))
        await self._apply_fault(job)
        job.training.move("Completed")
        model = CustomModel(model_arn, job, Distilled(fitted))
        self._store.models[model_arn] = model
        job.model_arn = model_arn
        if self._context.settings.model_seconds:
            self._context.spawn(self._activate(model))
        else:
            model.status = "Active"
        await self._end(job, "Completed")

    async def _apply_fault(self, job: Job) -> None:
        """Apply an injected fault to the outcome of a job."""
        fault = self._context.faults.job
        if fault == "fail":
            raise JobFailed("The job failed: an injected fault.")
        if fault == "never":
            await asyncio.Event().wait()
        if fault == "stop":
            job.status = "Stopping"
            raise asyncio.CancelledError

    async def _activate(self, model: CustomModel) -> None:
        await asyncio.sleep(self._context.settings.model_seconds)
        model.status = "Active"

    async def _end(self, job: Job, status: str, failure: str = "") -> None:
        job.status, job.failure = status, failure
        job.ended = job.changed = now()
        for stage in job.stages:
            if stage.status == "InProgress":
                stage.move(status)
        await self._publish_state(job)

    async def _publish_state(self, job: Job) -> None:
        """Publish a job's state. Events are best effort, so an error does not change the job."""
        try:
            await self._context.events.job_changed(job)
        except Exception:  # noqa: BLE001  # any error of EventBridge
            logger.exception("Could not publish an event for the job %s", job.name)

    def _refuse_unreachable_teacher(self, job: Job, session: iam.Session) -> None:
        """Fail the job when its role may not call a teacher profile in every Region of the profile."""
        config = job.request["customizationConfig"]["distillationConfig"]["teacherModelConfig"]
        target = self._context.catalogue.target(config["teacherModelIdentifier"])
        missing = [
            arn
            for arn in target.arns
            if target.through_profile and not session.may("bedrock:InvokeModel", arn)
        ]
        if missing:
            raise JobFailed(
                f"The provided role is not authorized to perform bedrock:InvokeModel on {missing[0]}."
            )

    def _labelled(self, examples: list[Example]) -> list[tuple[str, Weights]]:
        """Return the examples with weights. The teacher labels those without a readable label."""
        channel_config = _channel_config_of(examples)
        teacher = Teacher(channel_config)
        labelled = []
        for example in examples:
            try:
                weights = parse_routing(example.label or "", channel_config.names).weights
            except UnreadableRouting:
                weights, _ = teacher.label(example.query)
            labelled.append((example.query, weights))
        return labelled

    # Get, list and stop

    def _known(self, identifier: str) -> Job | None:
        return find(self._store.jobs.values(), identifier)

    def _authorised(self, caller: Caller, action: str, params: dict[str, Any]) -> Job:
        identifier = params["jobIdentifier"]
        job = self._known(identifier)
        arn = job.arn if job else _as_arn(identifier)
        caller.require(f"bedrock:{action}", [arn], self._store.tag_context(arn))
        if job is None:
            raise not_found(f"Could not find the model customization job {identifier}.")
        return job

    async def get(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """GetModelCustomizationJob, by ARN or name."""
        job = self._authorised(caller, "GetModelCustomizationJob", params)
        request = job.request
        return {
            "jobArn": job.arn,
            "jobName": job.name,
            "outputModelName": request["customModelName"],
            "roleArn": request["roleArn"],
            "status": job.status,
            "statusDetails": status_details(job),
            "creationTime": job.created,
            "lastModifiedTime": job.changed,
            "baseModelArn": foundation_arn(job.base_model),
            "hyperParameters": {},
            "trainingDataConfig": request["trainingDataConfig"],
            "validationDataConfig": request.get("validationDataConfig", {"validators": []}),
            "outputDataConfig": request["outputDataConfig"],
            "customizationType": request["customizationType"],
            "customizationConfig": request["customizationConfig"],
            **_present(
                clientRequestToken=request.get("clientRequestToken"),
                outputModelArn=job.model_arn,
                failureMessage=job.failure,
                endTime=job.ended,
                trainingMetrics={"trainingLoss": job.loss} if job.loss is not None else None,
            ),
        }

    async def list(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """ListModelCustomizationJobs."""
        caller.require("bedrock:ListModelCustomizationJobs", ["*"])
        page, more = listed(self._store.jobs.values(), params)
        return {"modelCustomizationJobSummaries": [_summary(job) for job in page], **more}

    async def stop(self, caller: Caller, params: dict[str, Any]) -> dict[str, Any]:
        """StopModelCustomizationJob: the job must be running."""
        job = self._authorised(caller, "StopModelCustomizationJob", params)
        if job.status != "InProgress" or job.task is None:
            raise conflict(f"The job {job.name} is {job.status} and cannot be stopped.")
        job.status, job.changed = "Stopping", now()
        await self._publish_state(job)
        job.task.cancel()
        return {}


def _channel_config_of(examples: list[Example]) -> ChannelConfig:
    """Return the channel configuration of the prompt, or else of the most common label channels."""
    from_prompt = channel_config_of_prompt(examples[0].system)
    if from_prompt:
        return from_prompt
    channel_sets = Counter(channels_of_label(example.label) for example in examples if example.label)
    most_common = channel_sets.most_common(1)
    return (channel_config_of_names(most_common[0][0]) if most_common else None) or default_channel_config()


def status_details(job: Job) -> dict[str, Any]:
    """Return the three stages as `statusDetails` of the service model."""
    names = ("validationDetails", "dataProcessingDetails", "trainingDetails")
    return {name: stage.details() for name, stage in zip(names, job.stages, strict=True)}


def _summary(job: Job) -> dict[str, Any]:
    return {
        "jobArn": job.arn,
        "baseModelArn": foundation_arn(job.base_model),
        "jobName": job.name,
        "status": job.status,
        "statusDetails": status_details(job),
        "creationTime": job.created,
        "lastModifiedTime": job.changed,
        "customModelName": job.request["customModelName"],
        "customizationType": job.request["customizationType"],
        **_present(customModelArn=job.model_arn, endTime=job.ended),
    }


def _present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


def _as_arn(identifier: str) -> str:
    """Return an ARN to check permissions for a job that does not exist."""
    return identifier if identifier.startswith("arn:") else new_arn("model-customization-job", identifier)


def _metrics_uri(job: Job) -> str:
    identifier = job.arn.rsplit("/", 1)[-1]
    key = f"model-customization-job-{identifier}/training_artifacts/step_wise_training_metrics.csv"
    return under(job.request["outputDataConfig"]["s3Uri"], key)


def _metrics(loss: float) -> bytes:
    """Return the metrics file: fitting takes one step, and the loss is the mean absolute error."""
    return f"step_number,epoch_number,training_loss\n1,1,{loss}\n".encode()

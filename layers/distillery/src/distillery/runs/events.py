"""Every event the functions say or hear, used by sender and receiver alike.

Own events go over the stack's bus with the source `distillery`; their detail holds `run_id` and a
`message`, one sentence for people. Bedrock's events and S3's are doorbells: they name a thing to ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from distillery.runs.states import Source, Stage

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parser.models import S3EventNotificationEventBridgeModel

SOURCE = "distillery"


class OwnEvent(BaseModel):
    """What all own events share."""

    model_config = ConfigDict(frozen=True)

    detail_type: ClassVar[str]
    run_id: str
    message: str


class DatasetValidated(OwnEvent):
    detail_type: ClassVar[str] = "Dataset Validated"


class DatasetRejected(OwnEvent):
    """The dataset has errors, or its content was distilled before (`duplicate_of`)."""

    detail_type: ClassVar[str] = "Dataset Rejected"
    duplicate_of: str | None = None


class ApprovalNeeded(OwnEvent):
    """The run may cost more than the stack's limit and waits for a person; USD of what is known."""

    detail_type: ClassVar[str] = "Approval Needed"
    low: float
    high: float


class RunApproved(OwnEvent):
    """The doorbell for a run that a person has approved; the run table holds who and when."""

    detail_type: ClassVar[str] = "Run Approved"


class DistillationStarted(OwnEvent):
    detail_type: ClassVar[str] = "Distillation Started"
    job_arn: str


class DistillationFinished(OwnEvent):
    """The watch's doorbell for a customization job that ended without Bedrock's event being acted upon."""

    detail_type: ClassVar[str] = "Distillation Finished"
    job_arn: str


class DeploymentStarted(OwnEvent):
    detail_type: ClassVar[str] = "Deployment Started"
    deployment_arn: str


class ModelDeployed(OwnEvent):
    detail_type: ClassVar[str] = "Model Deployed"
    deployment_arn: str


class EvaluationStarted(OwnEvent):
    detail_type: ClassVar[str] = "Evaluation Started"
    evaluation_jobs: dict[str, str]


class EvaluationFinished(OwnEvent):
    detail_type: ClassVar[str] = "Evaluation Finished"


class ModelPromoted(OwnEvent):
    detail_type: ClassVar[str] = "Model Promoted"
    model_id: str


class ModelNotPromoted(OwnEvent):
    detail_type: ClassVar[str] = "Model Not Promoted"


class RunFailed(OwnEvent):
    detail_type: ClassVar[str] = "Run Failed"
    step: str
    cause: str


class GenerationEvent(OwnEvent):
    """What events about a generation share; `run_id` is that of the run that follows, once there is one."""

    run_id: str = ""
    generation_id: str


class DatasetPlanned(GenerationEvent):
    detail_type: ClassVar[str] = "Dataset Planned"


class LabelsComplete(GenerationEvent):
    """The watch's doorbell: all labels are in, or no more will be asked for."""

    detail_type: ClassVar[str] = "Labels Complete"


class DatasetGenerated(GenerationEvent):
    detail_type: ClassVar[str] = "Dataset Generated"


class GenerationStopped(GenerationEvent):
    detail_type: ClassVar[str] = "Generation Stopped"


class GenerationFailed(GenerationEvent):
    """The spec was rejected, or the generation cannot go on."""

    detail_type: ClassVar[str] = "Generation Failed"


OWN_EVENTS: tuple[type[OwnEvent], ...] = (
    DatasetValidated,
    DatasetRejected,
    ApprovalNeeded,
    RunApproved,
    DistillationStarted,
    DistillationFinished,
    DeploymentStarted,
    ModelDeployed,
    EvaluationStarted,
    EvaluationFinished,
    ModelPromoted,
    ModelNotPromoted,
    RunFailed,
    DatasetPlanned,
    LabelsComplete,
    DatasetGenerated,
    GenerationStopped,
    GenerationFailed,
)


def dropped_object(event: S3EventNotificationEventBridgeModel) -> Source:
    """The object whose creation S3 tells of."""
    dropped = event.detail.object
    return Source(
        bucket=event.detail.bucket.name,
        key=dropped.key,
        version_id=dropped.version_id or "",
        etag=dropped.etag,
        size=dropped.size or 0,
    )


class CustomizationJobState(BaseModel):
    """Detail of Bedrock's `Model Customization Job State Change`; only the name of the thing is used."""

    job_arn: Annotated[str, Field(alias="jobArn")]


class BedrockJobEvent(BaseModel):
    """Bedrock's event about a customization job."""

    source: Literal["aws.bedrock"]
    detail: CustomizationJobState

    @property
    def job_arn(self) -> str:
        return self.detail.job_arn


class DistillationFinishedEvent(BaseModel):
    """The watch's event about a customization job."""

    source: Literal["distillery"]
    detail: DistillationFinished

    @property
    def job_arn(self) -> str:
        return self.detail.job_arn


JobWakeUp = Annotated[BedrockJobEvent | DistillationFinishedEvent, Field(discriminator="source")]
"""Whoever rings for a customization job: Bedrock or the watch."""


class WatchMessage(BaseModel):
    """One wait of one run, as it lies in the watch queue."""

    run_id: str
    stage: Stage
    deadline: AwareDatetime


class GenerationWatch(BaseModel):
    """The wait of one generation; the deadline in force is the run table's, which a second drop may move."""

    generation_id: str
    deadline: AwareDatetime

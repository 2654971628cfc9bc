"""Every event that the functions publish or receive. Sender and receiver use the same models.

The stack's own events go to its event bus with the source `distillery`. Their detail has a `run_id` and a
`message`, a sentence that SNS sends by e-mail. Events of Bedrock and S3 only name a resource: the receiver
reads its current state from the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from distillery.runs.states import Source, Stage

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parser.models import S3EventNotificationEventBridgeModel

SOURCE = "distillery"


class OwnEvent(BaseModel):
    """The fields that all own events have."""

    model_config = ConfigDict(frozen=True)

    detail_type: ClassVar[str]
    run_id: str
    message: str


class DatasetValidated(OwnEvent):
    detail_type: ClassVar[str] = "Dataset Validated"


class DatasetRejected(OwnEvent):
    """The dataset has errors, or another run has the same content (`duplicate_of`)."""

    detail_type: ClassVar[str] = "Dataset Rejected"
    duplicate_of: str | None = None


class ApprovalNeeded(OwnEvent):
    """The run may cost more than the stack's limit and waits for approval. Known costs in USD."""

    detail_type: ClassVar[str] = "Approval Needed"
    low: float
    high: float


class RunApproved(OwnEvent):
    """Wake-up event for an approved run. The run table has the approver and the time."""

    detail_type: ClassVar[str] = "Run Approved"


class DistillationStarted(OwnEvent):
    detail_type: ClassVar[str] = "Distillation Started"
    job_arn: str


class DistillationFinished(OwnEvent):
    """Wake-up event for a job that has ended: Bedrock's event was lost, or the run uses its model."""

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
    """The fields of events about a generation. `run_id` is empty until the dataset is written."""

    run_id: str = ""
    generation_id: str


class DatasetPlanned(GenerationEvent):
    detail_type: ClassVar[str] = "Dataset Planned"


class LabelsComplete(GenerationEvent):
    """Wake-up event of the poller: every query has a label, or labelling has stopped."""

    detail_type: ClassVar[str] = "Labels Complete"


class DatasetGenerated(GenerationEvent):
    detail_type: ClassVar[str] = "Dataset Generated"


class GenerationStopped(GenerationEvent):
    detail_type: ClassVar[str] = "Generation Stopped"


class GenerationFailed(GenerationEvent):
    """The spec was rejected, or the generation cannot continue."""

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
    """Return the object that an `Object Created` event of S3 names."""
    created = event.detail.object
    return Source(
        bucket=event.detail.bucket.name,
        key=created.key,
        version_id=created.version_id or "",
        etag=created.etag,
        size=created.size or 0,
    )


class CustomizationJobState(BaseModel):
    """Detail of Bedrock's `Model Customization Job State Change`. Only the job's ARN is used."""

    job_arn: Annotated[str, Field(alias="jobArn")]


class BedrockJobEvent(BaseModel):
    """Bedrock's event about a customization job."""

    source: Literal["aws.bedrock"]
    detail: CustomizationJobState

    @property
    def job_arn(self) -> str:
        return self.detail.job_arn

    @property
    def run_id(self) -> str | None:
        """Bedrock names no run: the job's name is the ID of the run that started it."""
        return None


class DistillationFinishedEvent(BaseModel):
    """The poller's event about a customization job."""

    source: Literal["distillery"]
    detail: DistillationFinished

    @property
    def job_arn(self) -> str:
        return self.detail.job_arn

    @property
    def run_id(self) -> str | None:
        return self.detail.run_id


JobWakeUp = Annotated[BedrockJobEvent | DistillationFinishedEvent, Field(discriminator="source")]
"""Wake-up event for a customization job, from Bedrock or from the poller."""


class WatchMessage(BaseModel):
    """One wait of one run: a message of the watch queue."""

    run_id: str
    stage: Stage
    deadline: AwareDatetime


class GenerationWatch(BaseModel):
    """The wait of one generation: a message of the watch queue.

    The deadline that counts is the one in the generations table, because a second drop may extend it.
    """

    generation_id: str
    deadline: AwareDatetime

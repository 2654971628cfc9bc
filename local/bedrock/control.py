"""The control API under `/_distillery/`: fault injection, settings and the state of the Bedrock emulator.

GET  /_distillery/ready      200 when the cloud answers requests
GET  /_distillery/state      calls, jobs, models, deployments, evaluations, events, faults, settings
GET  /_distillery/faults     the injected faults
POST /_distillery/faults     change the given fields of `Faults`
POST /_distillery/settings   change the given fields of `Settings`
POST /_distillery/events     publish a job event: {"job": NAME, "status": S, "times": N} or {"foreign": true}
POST /_distillery/reset      remove all faults and reset counters; {"state": true} also deletes all resources
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distillery.cost.lifecycles import MICRO
from local.bedrock.catalogue import ACCOUNT, Catalogue
from local.bedrock.events import job_detail
from local.bedrock.faults import Faults
from local.bedrock.settings import Settings
from local.bedrock.store import Job, find, new_arn
from local.bedrock.wire import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.bedrock.service import Bedrock

PREFIX = "/_distillery/"


class JobEvent(BaseModel):
    """An event to publish: for a job of this emulator, or for a foreign job that it does not have."""

    model_config = ConfigDict(extra="forbid")

    job: str | None = None
    foreign: bool = False
    status: Literal["InProgress", "Completed", "Failed", "Stopping", "Stopped"] = "Completed"
    times: int = Field(1, ge=1, le=100)


class Reset(BaseModel):
    """`state` also deletes jobs, models, deployments and evaluations."""

    model_config = ConfigDict(extra="forbid")

    state: bool = False


class ControlApi:
    """Answers the requests of the control API."""

    def __init__(self, bedrock: Bedrock) -> None:
        self._bedrock = bedrock
        self._context = bedrock.context

    async def handle(self, method: str, path: str, body: bytes) -> Response:
        """Answer one request: 400 for a body that is not valid, 404 for an unknown address."""
        try:
            content = json.loads(body) if body else {}
            result = await self._do(f"{method} {path.removeprefix(PREFIX)}", content)
        except (ValidationError, ValueError) as error:
            return _response(400, {"error": str(error)})
        if result is None:
            return _response(404, {"error": f"Unknown request: {method} {path}"})
        return _response(200, result)

    async def _do(self, request: str, content: Any) -> Any:
        match request:
            case "GET ready":
                return {"ready": True, "pid": os.getpid()}
            case "GET state":
                return self._state()
            case "GET faults":
                return self._context.faults.model_dump(mode="json")
            case "POST faults":
                return self._set_faults(content)
            case "POST settings":
                merged = Settings.model_validate(self._context.settings.model_dump() | content)
                self._context.settings = merged
                return merged.model_dump()
            case "POST events":
                return await self._publish(JobEvent.model_validate(content))
            case "POST reset":
                return self._reset(Reset.model_validate(content))
        return None

    def _set_faults(self, content: Mapping[str, Any]) -> dict[str, Any]:
        faults = Faults.model_validate({**_fields(self._context.faults), **content})
        catalogue = Catalogue()
        for model_id, lifecycle in faults.lifecycles.items():
            try:
                catalogue.override(model_id, **lifecycle.model_dump())
            except Exception as error:
                raise ValueError(f"Unknown model: {model_id}") from error
        self._context.faults = faults
        self._context.catalogue = catalogue
        return faults.model_dump(mode="json")

    async def _publish(self, event: JobEvent) -> dict[str, Any]:
        job = _foreign_job() if event.foreign else find(self._context.store.jobs.values(), event.job or "")
        if job is None:
            raise ValueError(f"Unknown job: {event.job}")
        detail = job_detail(job, event.status)
        for _ in range(event.times):
            await self._context.events.publish(detail)
        return {"published": event.times, "jobArn": job.arn}

    def _reset(self, request: Reset) -> dict[str, Any]:
        self._context.faults = Faults()
        self._context.catalogue = Catalogue()
        self._bedrock.calls.clear()
        self._bedrock.runtime.calls.clear()
        self._context.events.published = 0
        if request.state:
            self._context.cancel_all()
            self._context.store.clear()
        return {"reset": True}

    def _state(self) -> dict[str, Any]:
        store = self._context.store
        return {
            "calls": dict(self._bedrock.calls),
            "models_called": dict(self._bedrock.runtime.calls),
            "events_published": self._context.events.published,
            "jobs": [
                {
                    "arn": job.arn,
                    "name": job.name,
                    "status": job.status,
                    "model_arn": job.model_arn,
                    "failure": job.failure,
                    "stages": [stage.status for stage in job.stages],
                }
                for job in store.jobs.values()
            ],
            "models": [
                {"arn": model.arn, "name": model.name, "status": model.status}
                for model in store.models.values()
            ],
            "deployments": [
                {"arn": one.arn, "name": one.name, "status": one.status, "model_arn": one.model_arn}
                for one in store.deployments.values()
            ],
            "evaluations": [
                {"arn": job.arn, "name": job.name, "status": job.status, "failures": job.failures}
                for job in store.evaluations.values()
            ],
            "faults": self._context.faults.model_dump(mode="json"),
            "settings": self._context.settings.model_dump(),
        }


def _fields(faults: Faults) -> dict[str, Any]:
    """Return the fields without copying them, so that call faults keep their counters."""
    return {name: getattr(faults, name) for name in Faults.model_fields}


def _foreign_job() -> Job:
    """Return a job of another owner, as other stacks in the same account have them."""
    student = f"{MICRO}:128k"
    request = {
        "jobName": "somebody-elses-job",
        "customModelName": "somebody-elses-model",
        "roleArn": f"arn:aws:iam::{ACCOUNT}:role/somebody-else",
        "trainingDataConfig": {"s3Uri": "s3://somebody-elses-bucket/train.jsonl"},
        "outputDataConfig": {"s3Uri": "s3://somebody-elses-bucket/out"},
    }
    return Job(new_arn("model-customization-job", student), request, student)


def _response(status: int, content: Any) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(content).encode())

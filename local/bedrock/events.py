"""Bedrock's events on the default bus.

PutEvents refuses sources that start with `aws.`, as on AWS. MiniStack's own services publish through a
private function. Only this module calls it (pinned version, covered by tests/local/test_bedrock_events.py).
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from ministack.core import responses
from ministack.services import eventbridge

from local.bedrock.catalogue import ACCOUNT, REGION, foundation_arn
from local.bedrock.shapes import to_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from local.bedrock.faults import Faults
    from local.bedrock.store import Job

SOURCE = "aws.bedrock"
JOB_CHANGED = "Model Customization Job State Change"


def job_detail(job: Job, status: str) -> dict[str, Any]:
    """Return the documented detail of a job's event. A time that is not known yet is empty."""
    return {
        "version": "0.0",
        "jobName": job.name,
        "jobArn": job.arn,
        "outputModelName": job.request["customModelName"],
        "outputModelArn": job.model_arn,
        "roleArn": job.request["roleArn"],
        "jobStatus": status,
        "failureMessage": job.failure,
        "creationTime": _text(job.created),
        "lastModifiedTime": _text(job.changed),
        "endTime": _text(job.ended),
        "baseModelArn": foundation_arn(job.base_model),
        "hyperParameters": job.request.get("hyperParameters", {}),
        "trainingDataConfig": {"s3Uri": job.request["trainingDataConfig"].get("s3Uri", "")},
        "validationDataConfig": {"s3Uri": ""},
        "outputDataConfig": {"s3Uri": job.request["outputDataConfig"]["s3Uri"]},
    }


class Publisher:
    """Publishes job events, subject to injected faults. `published` counts the published events."""

    def __init__(self, faults: Callable[[], Faults], spawn: Callable[[Any], Any]) -> None:
        self._faults = faults
        self._spawn = spawn
        self.published = 0

    async def job_changed(self, job: Job) -> None:
        """Publish a job's new state."""
        faults = self._faults()
        detail = job_detail(job, job.status)
        if faults.events == "lost":
            return
        if faults.events == "late":
            self._spawn(self._later(faults.event_delay_seconds, detail))
            return
        await self.publish(detail)
        if faults.events == "doubled":
            await self.publish(detail)
        if faults.events == "premature" and job.status == "InProgress":
            await self.publish(job_detail(job, "Completed"))

    async def publish(self, detail: dict[str, Any]) -> None:
        """Put one event on the default bus."""
        # Delivery runs the targets of the rules, which would block the event loop.
        await asyncio.to_thread(_put, detail)
        self.published += 1

    async def _later(self, seconds: float, detail: dict[str, Any]) -> None:
        await asyncio.sleep(seconds)
        await self.publish(detail)


def _put(detail: dict[str, Any]) -> None:
    responses._request_account_id.set(ACCOUNT)
    responses.set_request_region(REGION)
    entry = {
        "Source": SOURCE,
        "DetailType": JOB_CHANGED,
        "Detail": json.dumps(detail),
        "Resources": [detail["jobArn"]],
    }
    _, _, body = eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
    if json.loads(body)["FailedEntryCount"]:
        raise RuntimeError(f"EventBridge refused a Bedrock event: {body!r}")


def _text(moment: datetime | None) -> str:
    return to_json("timestamp", moment) if moment else ""

"""S3 events with the object's version id, as AWS sends them for a versioned bucket.

MiniStack omits the version id from the events it sends to EventBridge. Both functions that are wrapped are
private (pinned version, covered by tests/local/pipeline/test_pipeline.py: a run id depends on the version
id).
"""

from __future__ import annotations

import contextvars
import json
from typing import Any

from ministack.services import eventbridge, s3

_version: contextvars.ContextVar[str | None] = contextvars.ContextVar("version", default=None)


def add_version_ids() -> None:
    """Make MiniStack's S3 events carry `version-id`."""
    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event

    def fire_with_version(*arguments: Any, version_id: str | None = None, **others: Any) -> None:
        token = _version.set(version_id)
        try:
            fire(*arguments, version_id=version_id, **others)
        finally:
            _version.reset(token)

    def dispatch_with_version(event: dict[str, Any], *arguments: Any, **others: Any) -> Any:
        version = _version.get()
        if version and event.get("Source") == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version
            event = {**event, "Detail": json.dumps(detail)}
        return dispatch(event, *arguments, **others)

    s3._fire_s3_event = fire_with_version
    eventbridge._dispatch_event = dispatch_with_version

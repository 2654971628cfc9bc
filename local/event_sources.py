"""Numbers in event source mappings that come from a parameter.

A reference to a parameter is text in CloudFormation, and AWS converts it to the type of the property.
MiniStack keeps the text of `MaximumConcurrency`, and its poller then fails. The function that is wrapped is
private (pinned version, covered by tests/local/pipeline: no message of a queue would be delivered).
"""

from __future__ import annotations

from typing import Any

from ministack.services import lambda_svc


def convert_concurrency() -> None:
    """Make MiniStack read `MaximumConcurrency` as a number."""
    original = lambda_svc._sqs_esm_concurrency

    def concurrency(mapping: dict[str, Any], *arguments: Any, **others: Any) -> int:
        scaling = mapping.get("ScalingConfig")
        if scaling and "MaximumConcurrency" in scaling:
            number = int(scaling["MaximumConcurrency"])
            mapping = {**mapping, "ScalingConfig": {**scaling, "MaximumConcurrency": number}}
        return int(original(mapping, *arguments, **others))

    lambda_svc._sqs_esm_concurrency = concurrency

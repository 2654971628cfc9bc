"""SimulatePrincipalPolicy authorized on the role in `PolicySourceArn`, as on AWS.

MiniStack authorizes the operation on the resource `*`, so a caller with permission for one role only is
always denied. The function that is wrapped is private (pinned version, covered by
tests/local/test_lifecycles.py).
"""

from __future__ import annotations

from typing import Any

from ministack.core import iam_actions

ROLE_PARAMETER = "PolicySourceArn"


def authorize_simulation_by_role() -> None:
    """Make MiniStack authorize a simulation on the role whose policies are simulated."""
    original = iam_actions.extract_resource_arn

    def extract(
        service: str, method: str, path: str, headers: Any, body: Any, query: Any, *others: Any
    ) -> Any:
        role_arn = iam_actions._query_param(query, ROLE_PARAMETER) if service == "iam" else ""
        return role_arn or original(service, method, path, headers, body, query, *others)

    iam_actions.extract_resource_arn = extract

"""SimulatePrincipalPolicy held to the role it asks about, as AWS holds it.

MiniStack takes the operation's resource for `*`, so that only a caller who may ask about everybody may ask at
all. The function that is wrapped is private (pinned version, covered by tests/local/test_lifecycles.py).
"""

from __future__ import annotations

from typing import Any

from ministack.core import iam_actions

ASKED_ABOUT = "PolicySourceArn"


def simulate_by_role() -> None:
    """Have MiniStack authorise simulations by the role whose policies are asked about."""
    original = iam_actions.extract_resource_arn

    def extract(
        service: str, method: str, path: str, headers: Any, body: Any, query: Any, *others: Any
    ) -> Any:
        asked = iam_actions._query_param(query, ASKED_ABOUT) if service == "iam" else ""
        return asked or original(service, method, path, headers, body, query, *others)

    iam_actions.extract_resource_arn = extract

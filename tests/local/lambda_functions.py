"""A Lambda function on the local cloud, for tests of how functions run."""

from __future__ import annotations

import io
import json
import sys
import uuid
import zipfile
from typing import TYPE_CHECKING, Any

from tests.local.permissions import make_role

if TYPE_CHECKING:
    from local.cloud import LocalCloud


class Function:
    """A function with a role without permissions."""

    def __init__(self, cloud: LocalCloud, code: str) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as pack:
            pack.writestr("handler.py", code)
        self._client = cloud.client("lambda")
        self._name = f"f-{uuid.uuid4().hex[:12]}"
        self._client.create_function(
            FunctionName=self._name,
            Runtime=f"python3.{sys.version_info.minor}",
            Role=make_role(cloud, [], service="lambda.amazonaws.com"),
            Handler="handler.handler",
            Code={"ZipFile": archive.getvalue()},
        )

    def invoke(self, event: Any) -> Any:
        """Invoke the function and return its response."""
        answer = self._client.invoke(FunctionName=self._name, Payload=json.dumps(event).encode())
        payload = json.load(answer["Payload"])
        assert "FunctionError" not in answer, payload
        return payload

    def remove(self) -> None:
        """Delete the function."""
        self._client.delete_function(FunctionName=self._name)

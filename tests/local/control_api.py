"""A client of the control API of a local cloud."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ControlApi:
    """The requests of the control API."""

    endpoint: str

    def faults(self, **faults: Any) -> Any:
        return self._call("POST", "faults", faults)

    def settings(self, **settings: Any) -> Any:
        return self._call("POST", "settings", settings)

    def event(self, **event: Any) -> Any:
        return self._call("POST", "events", event)

    def reset(self, *, state: bool = False) -> Any:
        return self._call("POST", "reset", {"state": state})

    def state(self) -> Any:
        return self._call("GET", "state", None)

    def calls(self, operation: str) -> int:
        return int(self.state()["calls"].get(operation, 0))

    def _call(self, method: str, path: str, content: Any) -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.endpoint}/_distillery/{path}", data=body, method=method)  # noqa: S310  # loopback
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

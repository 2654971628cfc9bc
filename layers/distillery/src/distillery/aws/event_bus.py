"""The stack's event bus (EventBridge)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.aws import clients
from distillery.errors import Transient
from distillery.runs.events import SOURCE

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

    from distillery.runs.events import OwnEvent


class Bus:
    """Says the project's own events."""

    def __init__(self, name: str, client: EventBridgeClient | None = None) -> None:
        self._name = name
        self._client: EventBridgeClient = client or clients.client("events")

    def say(self, event: OwnEvent) -> None:
        """Publish one event; raises Transient when the bus did not take it."""
        with clients.explained(f"say {event.detail_type!r}"):
            answer = self._client.put_events(
                Entries=[
                    {
                        "EventBusName": self._name,
                        "Source": SOURCE,
                        "DetailType": event.detail_type,
                        "Detail": event.model_dump_json(),
                        "Resources": [],
                    }
                ]
            )
        if answer["FailedEntryCount"]:
            entry = answer["Entries"][0]
            raise Transient(
                f"The bus did not take {event.detail_type!r}: "
                f"{entry.get('ErrorCode')} {entry.get('ErrorMessage')}."
            )

"""The stack's event bus (EventBridge)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.aws import clients
from distillery.errors import Transient
from distillery.runs.events import SOURCE

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

    from distillery.runs.events import OwnEvent


class EventBus:
    """Publishes the events that `runs.events` defines."""

    def __init__(self, name: str, client: EventBridgeClient | None = None) -> None:
        self._name = name
        self._client: EventBridgeClient = client or clients.client("events")

    def publish(self, event: OwnEvent) -> None:
        """Publish one event. Raises Transient when EventBridge rejects the entry."""
        with clients.explained(f"publish {event.detail_type!r}"):
            response = self._client.put_events(
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
        if response["FailedEntryCount"]:
            entry = response["Entries"][0]
            raise Transient(
                f"EventBridge rejected {event.detail_type!r}: "
                f"{entry.get('ErrorCode')} {entry.get('ErrorMessage')}."
            )

"""The state of the Bedrock emulator, in memory: jobs, models, deployments, evaluations, tags, tokens."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from local.bedrock.catalogue import ACCOUNT, REGION
from local.bedrock.errors import AwsError, invalid

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from local.models.distilled import Distilled

_ID_ALPHABET = string.ascii_lowercase + string.digits
MAX_TAGS = 50


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def new_arn(kind: str, under: str = "") -> str:
    """Return a new ARN: `kind/<12 characters>` or `kind/<under>/<12 characters>`."""
    identifier = "".join(secrets.choice(_ID_ALPHABET) for _ in range(12))
    return f"arn:aws:bedrock:{REGION}:{ACCOUNT}:{kind}/{under + '/' if under else ''}{identifier}"


class Named(Protocol):
    """The attributes that listings sort and filter by."""

    @property
    def arn(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def created(self) -> datetime: ...


NamedT = TypeVar("NamedT", bound=Named)


@dataclass
class Stage:
    """One stage of a customization job."""

    status: str = "NotStarted"
    started: datetime | None = None
    changed: datetime | None = None

    def move(self, status: str) -> None:
        self.status = status
        self.changed = now()
        self.started = self.started or self.changed

    def details(self) -> dict[str, Any]:
        """Return the stage as it appears in `statusDetails`."""
        times = {"creationTime": self.started, "lastModifiedTime": self.changed}
        return {"status": self.status} | {name: at for name, at in times.items() if at}


@dataclass
class Job:
    """A model customization job; `request` holds the parameters it was created with."""

    arn: str
    request: dict[str, Any]
    base_model: str
    status: str = "InProgress"
    created: datetime = field(default_factory=now)
    changed: datetime = field(default_factory=now)
    ended: datetime | None = None
    failure: str = ""
    model_arn: str = ""
    loss: float | None = None
    validation: Stage = field(default_factory=Stage)
    processing: Stage = field(default_factory=Stage)
    training: Stage = field(default_factory=Stage)
    task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return str(self.request["jobName"])

    @property
    def stages(self) -> tuple[Stage, Stage, Stage]:
        return self.validation, self.processing, self.training


@dataclass
class CustomModel:
    """The custom model that a job created. `model` answers its calls."""

    arn: str
    job: Job
    model: Distilled
    status: str = "Creating"
    created: datetime = field(default_factory=now)

    @property
    def name(self) -> str:
        return str(self.job.request["customModelName"])


@dataclass
class Deployment:
    """An on-demand deployment of a custom model."""

    arn: str
    name: str
    model_arn: str
    description: str = ""
    status: str = "Creating"
    failure: str = ""
    created: datetime = field(default_factory=now)
    changed: datetime = field(default_factory=now)
    update: dict[str, Any] | None = None


@dataclass
class Evaluation:
    """An evaluation job; `request` holds the parameters it was created with."""

    arn: str
    request: dict[str, Any]
    status: str = "InProgress"
    created: datetime = field(default_factory=now)
    changed: datetime = field(default_factory=now)
    failures: list[str] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return str(self.request["jobName"])


class Store:
    """All resources by ARN. Only the thread of the event loop uses it."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.models: dict[str, CustomModel] = {}
        self.deployments: dict[str, Deployment] = {}
        self.evaluations: dict[str, Evaluation] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self._tokens: dict[tuple[str, str], str] = {}

    def arn_of_token(self, operation: str, params: dict[str, Any]) -> str | None:
        """Return the ARN that an earlier request with the same client token created, or None."""
        return self._tokens.get((operation, params.get("clientRequestToken", "")))

    def keep_token(self, operation: str, params: dict[str, Any], arn: str) -> None:
        """Store the ARN of a client token."""
        if "clientRequestToken" in params:
            self._tokens[operation, params["clientRequestToken"]] = arn

    def tag_context(self, arn: str) -> dict[str, str]:
        """The condition keys `aws:ResourceTag/<key>` of a resource."""
        return {f"aws:ResourceTag/{key}": value for key, value in self.tags.get(arn, {}).items()}

    def tag(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Add tags to a resource. Raises TooManyTagsException, or ValidationException for duplicate keys."""
        added = {tag["key"]: tag["value"] for tag in tags}
        if len(added) < len(tags):
            raise invalid("Tag keys must be unique.")
        all_tags = self.tags.get(arn, {}) | added
        if len(all_tags) > MAX_TAGS:
            raise AwsError("TooManyTagsException", f"A resource can have at most {MAX_TAGS} tags.")
        if all_tags:
            self.tags[arn] = all_tags

    def clear(self) -> None:
        """Delete everything."""
        for items in (self.jobs, self.models, self.deployments, self.evaluations, self.tags, self._tokens):
            items.clear()

    def exists(self, arn: str) -> bool:
        """Whether a taggable resource exists."""
        return any(arn in items for items in (self.jobs, self.models, self.deployments, self.evaluations))


def find(items: Iterable[NamedT], identifier: str) -> NamedT | None:
    """Return an item by ARN or name, or None."""
    return next((item for item in items if identifier in {item.arn, item.name}), None)


def listed(
    items: Iterable[NamedT],
    params: dict[str, Any],
    *,
    limit: int = 1_000,
    matches: Callable[[NamedT], bool] | None = None,
) -> tuple[list[NamedT], dict[str, str]]:
    """Return one page of a listing (newest first by default), and `nextToken` when more items follow."""
    after = params.get("creationTimeAfter") or params.get("createdAfter")
    before = params.get("creationTimeBefore") or params.get("createdBefore")
    status = params.get("statusEquals") or params.get("modelStatus")
    chosen = [
        item
        for item in items
        if params.get("nameContains", "") in item.name
        and (status is None or item.status == status)
        and (after is None or item.created > after)
        and (before is None or item.created < before)
        and (matches is None or matches(item))
    ]
    chosen.sort(key=lambda item: item.created, reverse=params.get("sortOrder") != "Ascending")
    try:
        start = int(params.get("nextToken", 0))
    except ValueError as error:
        raise invalid("The provided nextToken is invalid.") from error
    end = start + min(params.get("maxResults", limit), limit)
    return chosen[start:end], {"nextToken": str(end)} if end < len(chosen) else {}

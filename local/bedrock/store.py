"""What the local Bedrock remembers, in memory: jobs, models, deployments, evaluations, tags, tokens."""

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
MOST_TAGS = 50


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def new_arn(kind: str, under: str = "") -> str:
    """A fresh ARN: `kind/<12>` or `kind/<under>/<12>`."""
    fresh = "".join(secrets.choice(_ID_ALPHABET) for _ in range(12))
    return f"arn:aws:bedrock:{REGION}:{ACCOUNT}:{kind}/{under + '/' if under else ''}{fresh}"


class Named(Protocol):
    """What listings sort and filter by."""

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
    """One part of a customization job."""

    status: str = "NotStarted"
    started: datetime | None = None
    changed: datetime | None = None

    def move(self, status: str) -> None:
        self.status = status
        self.changed = now()
        self.started = self.started or self.changed

    def told(self) -> dict[str, Any]:
        """As `statusDetails` shows it."""
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
    """What a job made; `model` answers for it."""

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
    """Everything by ARN; only the event loop's thread touches it."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.models: dict[str, CustomModel] = {}
        self.deployments: dict[str, Deployment] = {}
        self.evaluations: dict[str, Evaluation] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self._tokens: dict[tuple[str, str], str] = {}

    def first_answer(self, operation: str, params: dict[str, Any]) -> str | None:
        """The ARN that an earlier request with the same client token made."""
        return self._tokens.get((operation, params.get("clientRequestToken", "")))

    def remember(self, operation: str, params: dict[str, Any], arn: str) -> None:
        """Keep a client token's ARN."""
        if "clientRequestToken" in params:
            self._tokens[operation, params["clientRequestToken"]] = arn

    def tag(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Add tags to a resource; raises TooManyTagsException or, for one key twice, ValidationException."""
        fresh = {tag["key"]: tag["value"] for tag in tags}
        if len(fresh) < len(tags):
            raise invalid("Tag keys must be unique.")
        together = self.tags.get(arn, {}) | fresh
        if len(together) > MOST_TAGS:
            raise AwsError("TooManyTagsException", f"A resource can have at most {MOST_TAGS} tags.")
        if together:
            self.tags[arn] = together

    def forget(self) -> None:
        """Start again with nothing."""
        for kept in (self.jobs, self.models, self.deployments, self.evaluations, self.tags, self._tokens):
            kept.clear()

    def knows(self, arn: str) -> bool:
        """Whether a taggable resource exists."""
        return any(arn in kept for kept in (self.jobs, self.models, self.deployments, self.evaluations))


def find(items: Iterable[NamedT], identifier: str) -> NamedT | None:
    """An item by ARN or name."""
    return next((item for item in items if identifier in {item.arn, item.name}), None)


def listed(
    items: Iterable[NamedT],
    params: dict[str, Any],
    *,
    limit: int = 1_000,
    also: Callable[[NamedT], bool] | None = None,
) -> tuple[list[NamedT], dict[str, str]]:
    """One page of a listing (newest first by default), and `nextToken` when there is more."""
    after = params.get("creationTimeAfter") or params.get("createdAfter")
    before = params.get("creationTimeBefore") or params.get("createdBefore")
    wanted = params.get("statusEquals") or params.get("modelStatus")
    chosen = [
        item
        for item in items
        if params.get("nameContains", "") in item.name
        and (wanted is None or item.status == wanted)
        and (after is None or item.created > after)
        and (before is None or item.created < before)
        and (also is None or also(item))
    ]
    chosen.sort(key=lambda item: item.created, reverse=params.get("sortOrder") != "Ascending")
    try:
        start = int(params.get("nextToken", 0))
    except ValueError as error:
        raise invalid("The provided nextToken is invalid.") from error
    end = start + min(params.get("maxResults", limit), limit)
    return chosen[start:end], {"nextToken": str(end)} if end < len(chosen) else {}

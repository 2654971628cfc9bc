"""The template as written, and as CloudFormation receives it after the SAM transform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.template.template_reader import Template
from tools import translate

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _region() -> Iterator[None]:
    """Set the only thing that the transform reads from the AWS configuration: a region."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", translate.REGION)
        patch.delenv("AWS_PROFILE", raising=False)
        yield


@pytest.fixture(scope="session")
def written() -> Template:
    """The template as written."""
    return Template(translate.source())


@pytest.fixture(scope="session")
def template() -> Template:
    """The template that CloudFormation receives."""
    return Template(translate.translated())


@pytest.fixture(scope="session")
def parameters(written: Template) -> dict[str, Any]:
    """The parameters by name."""
    found: dict[str, Any] = written.content["Parameters"]
    return found

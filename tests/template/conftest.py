"""The template as it is written, and as CloudFormation sees it after the SAM transform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.template.reading import Template
from tools import translate

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _anywhere() -> Iterator[None]:
    """The transform asks boto3 for a region and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", translate.REGION)
        patch.delenv("AWS_PROFILE", raising=False)
        yield


@pytest.fixture(scope="session")
def written() -> Template:
    """The template as it is written."""
    return Template(translate.source())


@pytest.fixture(scope="session")
def template() -> Template:
    """The template that CloudFormation is given."""
    return Template(translate.translated())


@pytest.fixture(scope="session")
def parameters(written: Template) -> dict[str, Any]:
    """The parameters by name."""
    found: dict[str, Any] = written.content["Parameters"]
    return found

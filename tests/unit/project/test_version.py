"""One version, used by both projects, the installed command and the user agent of AWS calls."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from distillery import __version__
from distillery.aws import clients

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PROJECTS = ("pyproject.toml", "layers/distillery/pyproject.toml")
READ_AS_A_BUILD_DOES = """
import sys
from setuptools.config.pyprojecttoml import apply_configuration
from setuptools.dist import Distribution
distribution = Distribution()
apply_configuration(distribution, "pyproject.toml", ignore_option_errors=False)
print(distribution.metadata.version, distribution.metadata.license_expression)
assert "distillery" not in sys.modules, "the package was imported"
"""


@pytest.fixture
def uncached_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clients with keys of their own, not those that other tests made."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    clients.client.cache_clear()
    yield
    clients.client.cache_clear()


def test_version_is_one_that_python_packages_may_have() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", __version__)


@pytest.mark.parametrize("project", PROJECTS)
def test_projects_take_the_version_from_the_package_without_importing_it(project: str) -> None:
    table = tomllib.loads((ROOT / project).read_text("utf-8"))
    assert table["project"]["dynamic"] == ["version"]
    read = subprocess.run(
        [sys.executable, "-c", READ_AS_A_BUILD_DOES],
        cwd=(ROOT / project).parent,
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.split() == [__version__, "Apache-2.0"]


def test_installed_command_has_the_version() -> None:
    assert importlib.metadata.version("distillery-workspace") == __version__


def test_changelog_has_the_version_once_it_is_released() -> None:
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert (__version__ in headings) == (".dev" not in __version__)


@pytest.mark.usefixtures("uncached_clients")
def test_calls_to_aws_carry_the_version() -> None:
    sent: list[Any] = []

    def answer(request: Any, **_: Any) -> None:
        sent.append(request.headers["User-Agent"])
        raise InterruptedError  # nothing goes out

    client = clients.client("sqs")
    client.meta.events.register("before-send.sqs.ListQueues", answer)
    with pytest.raises(InterruptedError):
        client.list_queues()
    assert f"distillery/{__version__}" in str(sent[0]).split()

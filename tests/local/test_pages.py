"""The commands and programs that README.md and docs/ show run as they stand, on a local cloud."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.cloud import ROOT, environment
from tests.pages import blocks
from tests.specs import spec_text
from tools.docs_tables import PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.cloud import LocalCloud

LONGEST = 240
"""Seconds for one page."""
NOT_HERE = ("make ", "export PATH=")
"""Lines that the tests of the make targets run, or that this test has done already."""


@pytest.fixture
def folder(tmp_path: Path, cloud: LocalCloud, stack: dict[str, str]) -> Iterator[Path]:
    """A folder with the samples, and with a small spec. The stack's configuration is restored."""
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    (tmp_path / "samples" / "spec.yaml").write_text(spec_text(records=100, seed=11))
    # Another content than that of the samples: the stack is shared, and equal content is a duplicate.
    dataset = tmp_path / "samples" / "dataset.jsonl"
    dataset.write_text("".join(dataset.read_text("utf-8").splitlines(keepends=True)[1:]), "utf-8")
    yield tmp_path
    cloud.client("s3").delete_object(Bucket=stack["DataBucketName"], Key="config/channels.yaml")


@pytest.fixture
def shell(cloud: LocalCloud) -> dict[str, str]:
    """What `make up` tells a user to export, with the tools of this environment first on PATH."""
    tools = Path(sys.executable).parent
    return environment(cloud.endpoint) | {
        "AWS_REGION": "us-east-1",
        "DISTILLERY_PORT": str(cloud.port),
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
    }


def commands(page: Path) -> str:
    """The page's `sh` blocks as one script."""
    lines = [
        line
        for block in blocks(page)
        if (block.language, block.kind) == ("sh", "")
        for line in block.text.splitlines()
        if not line.startswith(NOT_HERE)
    ]
    return "\n".join(lines)


@pytest.mark.timeout(LONGEST + 60)
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_of_a_page_run(page: Path, folder: Path, shell: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands(page)],
        cwd=folder,
        env=shell,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_program_of_the_readme_gets_weights(folder: Path, shell: dict[str, str]) -> None:
    (program,) = (block.text for block in blocks(ROOT / "README.md") if block.language == "python")
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint(round(sum(weights.values()), 6))"],
        cwd=folder,
        env=shell,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1.0"), done.stderr

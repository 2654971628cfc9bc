"""The shell's AWS settings and proxies do not reach the local cloud."""

from __future__ import annotations

import os
import urllib.request
from typing import TYPE_CHECKING

from local.cloud import ignore_shell_settings
from local.server import prepare_environment

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PROXY = "http://127.0.0.1:9"


def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"http_proxy": PROXY, "HTTPS_PROXY": PROXY, "no_proxy": "intranet"})
    ignore_shell_settings()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "127.0.0.1,intranet,localhost"
    assert os.environ["http_proxy"] == PROXY  # downloads still need it


def test_profile_of_another_job_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        os, "environ", {"AWS_PROFILE": "corp", "AWS_CONFIG_FILE": "/broken.ini", "HOME": "/h"}
    )
    ignore_shell_settings()
    assert "AWS_PROFILE" not in os.environ
    assert os.environ["AWS_CONFIG_FILE"] == os.devnull
    assert os.environ["HOME"] == "/h"


def test_functions_have_no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "environ", {"HTTP_PROXY": PROXY, "all_proxy": PROXY})
    monkeypatch.setattr("tempfile.tempdir", None)
    prepare_environment(4599, tmp_path)
    assert urllib.request.getproxies_environment() == {}

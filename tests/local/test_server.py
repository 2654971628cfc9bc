"""The server process: the functions it starts, its port and settings, and what remains after it stops."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.cloud import ROOT, CloudFailed, LocalCloud, free_port
from tests.local.control_api import ControlApi
from tests.local.lambda_functions import Function
from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

REPORT_ENVIRONMENT = """
import os, sys
def handler(event, context):
    found = {}
    for name in "boto3 botocore urllib3 dateutil numpy ministack distillery pytest yaml".split():
        try:
            found[name] = __import__(name).__name__ == name
        except ImportError:
            found[name] = False
    names = sorted(name for name in os.environ if name.startswith(("DISTILLERY_", "PYTHON")))
    return {"found": found, "names": names, "version": list(sys.version_info[:2]), "pid": os.getpid()}
"""


@pytest.fixture
def function(cloud: LocalCloud) -> Iterator[Function]:
    """A function that returns which packages it can import."""
    made = Function(cloud, REPORT_ENVIRONMENT)
    yield made
    made.remove()


def test_functions_can_import_only_the_sdk(function: Function) -> None:
    seen = function.invoke({})
    sdk = {"boto3", "botocore", "urllib3", "dateutil"}
    assert seen["found"] == {name: name in sdk for name in seen["found"]}
    assert seen["names"] == []
    assert seen["version"] == list(sys.version_info[:2])


def test_functions_have_only_the_permissions_of_their_role(cloud: LocalCloud) -> None:
    made = Function(
        cloud,
        "import boto3\n"
        "def handler(event, context):\n"
        "    who = boto3.client('sts').get_caller_identity()['Arn']\n"
        "    try:\n"
        "        boto3.client('bedrock').list_custom_models()\n"
        "    except Exception as error:\n"
        "        return [who, type(error).__name__]\n"
        "    return [who, 'allowed']\n",
    )
    try:
        who, outcome = made.invoke({})
    finally:
        made.remove()
    assert ":assumed-role/" in who
    assert outcome == "AccessDeniedException"


def test_stopping_removes_processes_and_files(tmp_path: Path) -> None:
    cloud = LocalCloud.start(data_dir=tmp_path / "cloud", log=tmp_path / "log")
    function = Function(cloud, REPORT_ENVIRONMENT)
    worker = function.invoke({})["pid"]
    process = cloud._process
    assert process is not None
    cloud.stop()
    assert process.returncode == 0, (tmp_path / "log").read_text()
    wait_for(lambda: not alive(worker), "the end of the function's process", 5)
    assert not (tmp_path / "cloud" / "scratch").exists()


def test_server_stops_with_its_parent_process(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from local.cloud import LocalCloud\n"
        "cloud = LocalCloud.start(data_dir=Path(sys.argv[1])); print(cloud._process.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    server = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    if parent.stdin:
        parent.stdin.close()
    wait_for(lambda: not alive(server), "the server to follow its parent", 15)


def test_taken_port_is_one_sentence_and_exit_code_1(cloud: LocalCloud, tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "local.server", "--port", str(cloud.port), "--data-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert len(finished.stderr.strip().splitlines()) == 1
    assert f"Port {cloud.port} is taken" in finished.stderr
    with pytest.raises(CloudFailed, match=f"Port {cloud.port} is taken"):
        LocalCloud.start(cloud.port, data_dir=tmp_path)


def test_invalid_setting_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CloudFailed, match="latency_scale"):
        LocalCloud.start(data_dir=tmp_path, settings={"DISTILLERY_LATENCY_SCALE": "7"})


def test_server_runs_from_another_folder(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "local.server", "--port", str(port), "--data-dir", "data"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )

    def answers() -> bool:
        try:
            return bool(ControlApi(f"http://127.0.0.1:{port}").state())
        except OSError:
            return False

    try:
        wait_for(answers, "the server")
        assert (tmp_path / "data" / "models").is_dir()
    finally:
        process.terminate()
        assert process.wait(15) == 0


def test_web_pages_cannot_use_the_control_api(cloud: LocalCloud) -> None:
    headers = {"Origin": "http://example.com"}
    request = urllib.request.Request(f"{cloud.endpoint}/_distillery/reset", data=b"{}", headers=headers)  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)  # noqa: S310
    assert caught.value.code == 403


def test_reset_deletes_all_state(fresh: ControlApi, cloud: LocalCloud) -> None:
    fresh.faults(job="fail", calls=[{"error": "ThrottlingException"}])
    cloud.client("bedrock").list_custom_models()
    fresh.reset(state=True)
    state = fresh.state()
    assert state["calls"] == {}
    assert state["faults"]["calls"] == []
    assert state["jobs"] == state["models"] == state["deployments"] == state["evaluations"] == []


def alive(pid: int) -> bool:
    """Whether a process runs. A zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_two_clouds_run_side_by_side(cloud: LocalCloud) -> None:
    with LocalCloud() as other:
        name = f"mine-{uuid.uuid4().hex[:12]}"
        other.client("s3").create_bucket(Bucket=name)
        assert name not in [one["Name"] for one in cloud.client("s3").list_buckets()["Buckets"]]

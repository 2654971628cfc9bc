"""`make demo`, `make up`, `make deploy` and `make down`, each with its own folder and port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from local.cloud import HOST, ROOT, free_port
from tests.local.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DISTILLERY = str(Path(sys.executable).with_name("distillery"))
ENDS_WITHIN = 60
"""Seconds for commands that do not run the pipeline."""


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def environment(tmp_path: Path, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"DISTILLERY_PORT": str(port), "DISTILLERY_CLOUD_DIR": str(tmp_path / "cloud")}


@pytest.fixture
def local(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run `python -m local <command>`. The local cloud is stopped afterwards."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "local", *arguments],
            cwd=ROOT,
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    yield run
    run("down")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_up_starts_a_deployed_cloud_that_an_aws_client_can_use_and_down_stops_it(
    local: Callable[..., subprocess.CompletedProcess[str]], environment: dict[str, str], port: int
) -> None:
    first = local("up")
    assert first.returncode == 0, first.stderr
    exports = [line for line in first.stdout.splitlines() if line.startswith("export ")]
    assert len(exports) == 2
    assert "QueryQueueUrl" in first.stdout

    again = local("up")
    assert (again.returncode, again.stdout) == (0, first.stdout)

    settings = dict(pair.split("=", 1) for line in exports for pair in line.removeprefix("export ").split())
    client = boto3.client(
        "s3",
        endpoint_url=settings["AWS_ENDPOINT_URL"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        region_name=settings["AWS_REGION"],
    )
    asked = subprocess.run(
        [DISTILLERY, "outputs", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN,
        check=True,
    )
    outputs = json.loads(asked.stdout)
    assert outputs["DataBucketName"] in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]

    changed = local("deploy", "MinWeightScore=4.25")
    assert (changed.returncode, changed.stdout) == (0, first.stdout), changed.stderr
    deployed = {
        function["FunctionName"]: function["Environment"]["Variables"]
        for function in boto3.client(
            "lambda",
            endpoint_url=settings["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        ).list_functions()["Functions"]
    }
    assert [one["MIN_WEIGHT_SCORE"] for one in deployed.values() if "MIN_WEIGHT_SCORE" in one] == ["4.25"] * 2

    unknown = local("deploy", "MinWeightScore")
    assert (unknown.returncode, unknown.stderr.strip()) == (
        1,
        "'MinWeightScore' is not a parameter. Write NAME=VALUE.",
    )

    elsewhere = local("up", DISTILLERY_PORT=str(free_port()))
    assert elsewhere.returncode == 1
    assert (
        elsewhere.stderr.strip() == f"The local cloud is already up on port {port}. Stop it with `make down`."
    )

    down = local("down")
    assert down.returncode == 0
    assert is_free(port)

    nowhere = local("deploy", "MinWeightScore=4.25")
    assert nowhere.returncode == 1
    assert nowhere.stderr.strip() == "The local cloud is not up. Start it with `make up`."


def test_down_when_nothing_is_up(local: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    down = local("down")
    assert (down.returncode, down.stderr) == (0, "")


@pytest.mark.parametrize("command", ["up", "demo"])
def test_taken_port_is_one_sentence(
    local: Callable[..., subprocess.CompletedProcess[str]], port: int, command: str
) -> None:
    with socket.socket() as other:
        other.bind((HOST, port))
        other.listen()
        refused = local(command)
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        f"Port {port} is taken by another process. Set DISTILLERY_PORT to another port."
    ]


def test_invalid_port_is_one_sentence(local: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    refused = local("up", DISTILLERY_PORT="nonsense")
    sentence = "DISTILLERY_PORT is 'nonsense'. Set it to a port number from 1 to 65535.\n"
    assert (refused.returncode, refused.stderr) == (1, sentence)


def test_demo_from_an_unknown_source_is_one_sentence(
    local: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    refused = local("demo", "nothing")
    sentence = "FROM is 'nothing'. Set it to dataset or spec.\n"
    assert (refused.returncode, refused.stderr) == (1, sentence)


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ((), ["36 answered by dataset-"]),
        (("spec",), ["queries planned", "1800 of 1800 queries labelled", "36 answered by samples-"]),
    ],
    ids=["from the dataset", "from the spec"],
)
def test_demo_ends_with_the_report_and_the_verdict(
    local: Callable[..., subprocess.CompletedProcess[str]],
    port: int,
    tmp_path: Path,
    source: tuple[str, ...],
    output: list[str],
) -> None:
    shown = local("demo", *source)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for text in ("TRAINING", "EVALUATING", "dominant", *output, "Verdict: PROMOTED"):
        assert text in shown.stdout
    report = tmp_path / "cloud" / "report.html"
    assert report.as_uri() in shown.stdout
    assert "<html" in report.read_text("utf-8")
    assert is_free(port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_no_process(
    environment: dict[str, str], port: int, number: signal.Signals
) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "local", "demo"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout
    # The demonstration prints the run id when the cloud is up, the stack deployed and the dataset uploaded.
    assert any(line.startswith("dataset-") for line in demo.stdout)
    if number is signal.SIGINT:
        os.killpg(demo.pid, number)  # as a terminal does
    else:
        demo.send_signal(number)
    demo.stdout.close()
    assert demo.wait(ENDS_WITHIN) == 128 + number
    assert is_free(port)
    # The server stops the processes of the functions, which end a moment later.
    wait_for(lambda: not group_exists(demo.pid), "the last process of the demonstration to end", seconds=10)

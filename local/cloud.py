"""Starting and stopping the local cloud, and deploying the repository's template to it with the SAM CLI."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
BUILDS = ROOT / ".aws-sam" / "local"
BUILT_FROM = ("template.yaml", "samconfig.toml", "functions", "layers")
HOST = "127.0.0.1"
REGION = "us-east-1"
STACK = "distillery"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
LOOK_EVERY = 0.05
SHOWN_LINES = 15


class CloudFailed(Exception):
    """The local cloud did not start; the message is one sentence with the end of its log."""


class DeploymentFailed(Exception):
    """The SAM CLI could not build or deploy; the message ends with what it said."""


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def environment(endpoint: str) -> dict[str, str]:
    """This process's environment, for an AWS client that should see the local cloud and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_PAGER": "",
    }


class LocalCloud:
    """One local cloud in a process of its own; a context manager that leaves nothing behind.

    `settings` are `DISTILLERY_*` variables of the server (see `local.bedrock.settings`). The server also
    ends by itself when this process is gone.
    """

    def __init__(
        self,
        port: int | None = None,
        *,
        data_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self.port = port or free_port()
        self._own_dir = data_dir is None
        self.data_dir = data_dir or Path(tempfile.mkdtemp(prefix="distillery-cloud-"))
        self.log = log or self.data_dir / "cloud.log"
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, port: int | None = None, **options: Any) -> Self:
        """A cloud that answers; raises CloudFailed."""
        cloud = cls(port, **options)
        cloud.__enter__()
        return cloud

    @property
    def endpoint(self) -> str:
        """The address for every AWS client."""
        return f"http://{HOST}:{self.port}"

    @cached_property
    def session(self) -> boto3.Session:
        """A session with the account's own keys."""
        return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)  # noqa: S106  # known to all

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of this cloud, as the account's owner unless credentials are given."""
        return self.session.client(service, endpoint_url=self.endpoint, **options)  # type: ignore[call-overload]  # one factory

    def __enter__(self) -> Self:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "local.server", "--port", str(self.port), "--data-dir"]
        try:
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    [*command, str(self.data_dir.resolve()), "--until-stdin-closes"],
                    cwd=ROOT,
                    env=os.environ | self._settings,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                )
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and remove what it wrote; once is enough, twice does no harm."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin:
                process.stdin.close()
        if self._own_dir:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise CloudFailed(
                    self._said() or f"The local cloud ended with exit code {process.returncode}."
                )
            address = f"{self.endpoint}/_distillery/ready"
            # Refused until the server listens; an older server on the port would answer for it.
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310  # loopback
                if json.load(answer)["pid"] == process.pid:
                    return
            time.sleep(LOOK_EVERY)
        raise CloudFailed(f"The local cloud did not answer within {START_SECONDS:.0f} s. {self._said()}")

    def _said(self) -> str:
        return "\n".join(self.log.read_text("utf-8", errors="replace").strip().splitlines()[-SHOWN_LINES:])


def parameters_here() -> dict[str, str]:
    """The template's parameters that make it run on this machine, at a pace for watching."""
    machine = platform.machine().lower()
    return {
        "FunctionRuntime": f"python3.{sys.version_info.minor}",
        "FunctionArchitecture": "arm64" if machine in {"arm64", "aarch64"} else "x86_64",
        "PollIntervalSeconds": "2",
    }


def build(template: Path | None = None) -> Path:
    """`sam build` for this machine's interpreter, once for the same sources; returns the built template."""
    source = template or ROOT / "template.yaml"
    target = BUILDS / _digest(source)
    if not (target / "template.yaml").exists():
        BUILDS.mkdir(parents=True, exist_ok=True)
        # Built beside and then moved, so that a build that was interrupted is never taken for one.
        with tempfile.TemporaryDirectory(dir=BUILDS) as scratch:
            made = Path(scratch) / "build"
            here = {"LAYER_PLATFORM": "here", "PYTHON": sys.executable}
            options = ["--template-file", str(source), "--build-dir", str(made), "--parameter-overrides"]
            _sam(["build", *options, *_overrides(parameters_here())], os.environ | here)
            with contextlib.suppress(FileExistsError, OSError):
                made.rename(target)
    return target / "template.yaml"


def deploy(
    endpoint: str,
    *,
    parameters: Mapping[str, str] | None = None,
    stack: str = STACK,
    template: Path | None = None,
) -> dict[str, str]:
    """Build if needed and `sam deploy` to the cloud at `endpoint`; returns the stack's outputs.

    `parameters` are template parameters over those of `parameters_here`. Raises DeploymentFailed.
    """
    built = build(template)
    wanted = parameters_here() | dict(parameters or {})
    options = ["--template-file", str(built), "--stack-name", stack, "--parameter-overrides"]
    _sam(["deploy", *options, *_overrides(wanted)], environment(endpoint))
    client = boto3.client(
        "cloudformation",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  # known to all
    )
    found = client.describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def _sam(arguments: list[str], variables: Mapping[str, str]) -> None:
    tools = Path(sys.executable).parent
    program = tools / "sam"
    if not program.exists():
        raise DeploymentFailed("The SAM CLI is missing from the environment; `make install` brings it.")
    path = f"{tools}{os.pathsep}{variables.get('PATH', '')}"
    finished = subprocess.run(
        [str(program), *arguments, "--config-file", str(ROOT / "samconfig.toml"), "--config-env", "local"],
        cwd=ROOT,
        env={**variables, "SAM_CLI_TELEMETRY": "0", "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode:
        said = "\n".join(finished.stdout.strip().splitlines()[-SHOWN_LINES:])
        raise DeploymentFailed(f"`sam {arguments[0]}` failed:\n{said}")


def _overrides(parameters: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in parameters.items()]


def _digest(template: Path) -> str:
    """Changes when anything changes that a build takes in."""
    digest = hashlib.sha256(f"{sys.version}{template.resolve()}".encode())
    for path in _sources(template):
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _sources(template: Path) -> Iterator[Path]:
    yield template
    for name in BUILT_FROM:
        root = template.parent / name
        files = [root] if root.is_file() else sorted(root.rglob("*"))
        yield from (path for path in files if path.is_file() and "__pycache__" not in path.parts)

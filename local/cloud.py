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
from botocore.exceptions import ClientError, EndpointConnectionError

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
POLL_SECONDS = 0.05
"""Seconds between two looks at a condition that is waited for."""
SAM_POLL_SECONDS = 0.2
"""The SAM CLI waits this long between looks at a deployment. Its default for AWS is 5 s."""
SHOWN_LINES = 15


class CloudFailed(Exception):
    """The local cloud did not start. The message holds the end of its log."""


class DeploymentFailed(Exception):
    """The SAM CLI could not build or deploy. The message ends with its last lines of output."""


def free_port() -> int:
    """Return a port that no process listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def environment(endpoint: str) -> dict[str, str]:
    """Return this process's environment with AWS variables that point at the local cloud only."""
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


def ignore_shell_settings() -> None:
    """Remove what the shell's AWS settings and proxies would do to this process and those that it starts.

    Downloads still use the proxies; the loopback interface does not.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    excluded = {os.environ.get("no_proxy", ""), os.environ.get("NO_PROXY", ""), HOST, "localhost"} - {""}
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(sorted(excluded))


class LocalCloud:
    """A local cloud in its own process, as a context manager that removes what it created.

    `settings` are `DISTILLERY_*` variables of the server (see `local.bedrock.settings`). The server also
    stops when this process ends.
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
        """Start a cloud and wait until it answers. Raises CloudFailed."""
        cloud = cls(port, **options)
        cloud.__enter__()
        return cloud

    @property
    def endpoint(self) -> str:
        """The address for every AWS client."""
        return f"http://{HOST}:{self.port}"

    @cached_property
    def session(self) -> boto3.Session:
        """A boto3 session with the account's own keys."""
        return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)  # noqa: S106  # a fixed, public value

    def client(self, service: str, **options: Any) -> Any:
        """Return a boto3 client of this cloud, with the account's own keys unless credentials are given."""
        return self.session.client(service, endpoint_url=self.endpoint, **options)  # type: ignore[call-overload]  # the service name is not a literal

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
        """Stop the server and remove its data. A second call does nothing."""
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
                    self._log_tail() or f"The local cloud ended with exit code {process.returncode}."
                )
            address = f"{self.endpoint}/_distillery/ready"
            # The connection fails until the server listens. The process id rules out an older server.
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310  # loopback
                if json.load(answer)["pid"] == process.pid:
                    return
            time.sleep(POLL_SECONDS)
        raise CloudFailed(f"The local cloud did not answer within {START_SECONDS:.0f} s. {self._log_tail()}")

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text("utf-8", errors="replace").strip().splitlines()[-SHOWN_LINES:])


def parameters_here() -> dict[str, str]:
    """Return the template parameters that fit this machine, with a short poll interval."""
    machine = platform.machine().lower()
    return {
        "FunctionRuntime": f"python3.{sys.version_info.minor}",
        "FunctionArchitecture": "arm64" if machine in {"arm64", "aarch64"} else "x86_64",
        "PollIntervalSeconds": "2",
        # Nothing is billed here, and the tests start many runs a day.
        "MaxDayCostUsd": "1000000",
    }


def build(template: Path | None = None) -> Path:
    """Run `sam build` for this interpreter unless the same sources are built. Returns the built template."""
    source = template or ROOT / "template.yaml"
    target = BUILDS / _digest(source)
    if not (target / "template.yaml").exists():
        BUILDS.mkdir(parents=True, exist_ok=True)
        # The build is moved into place when it is complete, so an interrupted build is never used.
        with tempfile.TemporaryDirectory(dir=BUILDS) as scratch:
            finished = Path(scratch) / "build"
            here = {"LAYER_PLATFORM": "here", "PYTHON": sys.executable}
            options = ["--template-file", str(source), "--build-dir", str(finished), "--parameter-overrides"]
            _sam(["build", *options, *_overrides(parameters_here())], os.environ | here)
            with contextlib.suppress(FileExistsError, OSError):
                finished.rename(target)
    return target / "template.yaml"


def deploy(
    endpoint: str,
    *,
    parameters: Mapping[str, str] | None = None,
    stack: str = STACK,
    template: Path | None = None,
) -> dict[str, str]:
    """Build if needed and run `sam deploy` against the cloud at `endpoint`. Returns the stack's outputs.

    `parameters` override those of `parameters_here`. Raises DeploymentFailed.
    """
    built = build(template)
    values = parameters_here() | dict(parameters or {})
    options = ["--template-file", str(built), "--stack-name", stack, "--parameter-overrides"]
    _sam(["deploy", *options, *_overrides(values)], environment(endpoint))
    outputs = stack_outputs(endpoint, stack)
    if outputs is None:
        raise DeploymentFailed(f"The deployment succeeded, and stack {stack} does not exist.")
    return outputs


def stack_outputs(endpoint: str, stack: str = STACK) -> dict[str, str] | None:
    """Return the outputs of a stack on the cloud at `endpoint`; None if its deployment has not finished."""
    client = boto3.client(
        "cloudformation",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  # a fixed, public value
    )
    try:
        found = client.describe_stacks(StackName=stack)["Stacks"][0]
    except (ClientError, EndpointConnectionError):  # no stack yet, or no server yet
        return None
    if not found["StackStatus"].endswith("_COMPLETE"):
        return None
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def _sam(arguments: list[str], variables: Mapping[str, str]) -> None:
    tools = Path(sys.executable).parent
    program = tools / "sam"
    if not program.exists():
        raise DeploymentFailed("The SAM CLI is not installed in this environment. Run `make install`.")
    path = f"{tools}{os.pathsep}{variables.get('PATH', '')}"
    finished = subprocess.run(
        [str(program), *arguments, "--config-file", str(ROOT / "samconfig.toml"), "--config-env", "local"],
        cwd=ROOT,
        env={
            **variables,
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": str(SAM_POLL_SECONDS),
            "PATH": path,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode:
        output = "\n".join(finished.stdout.strip().splitlines()[-SHOWN_LINES:])
        raise DeploymentFailed(f"`sam {arguments[0]}` failed:\n{output}")


def _overrides(parameters: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in parameters.items()]


def _digest(template: Path) -> str:
    """Return a digest of everything that a build depends on."""
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

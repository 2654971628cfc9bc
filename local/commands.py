"""The commands of `python -m local`: demo, up, deploy and down."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
import urllib.request
from functools import partial
from typing import TYPE_CHECKING

from local.background import LOG, Refused, running, spawn, stop, stopped_on_failure
from local.cloud import (
    POLL_SECONDS,
    START_SECONDS,
    CloudFailed,
    DeploymentFailed,
    LocalCloud,
    deploy,
    free_port,
    ignore_shell_settings,
    stack_outputs,
)
from local.demo import SOURCES, DemoFailed, headline, print_line, run_demo

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType
    from typing import NoReturn

DEFAULT_PORT = 4566
USAGE = "Usage: python -m local demo [dataset|spec] | up | deploy [NAME=VALUE ...] | down"


def chosen_port() -> int | None:
    """Return `DISTILLERY_PORT`, or None when it is not set. Raises Refused for an invalid port."""
    text = os.environ.get("DISTILLERY_PORT")
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise Refused(f"DISTILLERY_PORT is {text!r}. Set it to a port number from 1 to 65535.")
    return int(text)


def require_free(port: int) -> None:
    """Raise Refused when another process listens on the port."""
    with socket.socket() as probe:
        # The server sets this option too. Without it, a port that was just released counts as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Refused(
                f"Port {port} is taken by another process. Set DISTILLERY_PORT to another port."
            ) from error


def demo(source: str) -> int:
    """Run the demonstration on its own local cloud, starting from a dataset or from a spec."""
    if source not in SOURCES:
        raise Refused(f"FROM is {source!r}. Set it to {' or '.join(SOURCES)}.")
    started = time.monotonic()
    port = chosen_port() or free_port()
    require_free(port)
    headline("Building the template and deploying it to a local cloud with the SAM CLI")
    with LocalCloud(port) as cloud:
        deploy(cloud.endpoint)
        print_line(f"stack distillery deployed at {cloud.endpoint} after {time.monotonic() - started:.0f} s")
        conclusion = run_demo(port, SOURCES[source])
    headline(f"Finished in {time.monotonic() - started:.0f} s. The local cloud is stopped")
    print_line(conclusion)
    return 0


def up() -> int:
    """Start the local cloud in the background and deploy the stack, unless it is already up."""
    port = chosen_port()
    found = running()
    if found and port in {None, found.port}:
        outputs = stack_outputs(f"http://127.0.0.1:{found.port}")
        if outputs is None:
            raise Refused(
                f"The local cloud on port {found.port} is starting. Wait until the other `make up` has "
                "finished, or stop it with `make down`."
            )
        return _print_outputs(found.port, outputs)
    if found:
        raise Refused(f"The local cloud is already up on port {found.port}. Stop it with `make down`.")
    port = port or DEFAULT_PORT
    require_free(port)
    endpoint = f"http://127.0.0.1:{port}"
    background, process = spawn(port)
    with stopped_on_failure(background):
        _wait_until_ready(endpoint, process)
        outputs = deploy(endpoint)
    return _print_outputs(port, outputs)


def redeploy(pairs: Sequence[str]) -> int:
    """Deploy the template again to the running local cloud, with the given template parameters."""
    found = running()
    if not found:
        raise Refused("The local cloud is not up. Start it with `make up`.")
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise Refused(f"{pair!r} is not a parameter. Write NAME=VALUE.")
        parameters[name] = value
    outputs = deploy(f"http://127.0.0.1:{found.port}", parameters=parameters)
    return _print_outputs(found.port, outputs)


def down() -> int:
    """Stop the local cloud that `up` started, if any."""
    found = running()
    if found:
        stop(found)
    print_line("The local cloud is down.")
    return 0


def main() -> int:
    """Run a command. An error that a user can fix is one sentence on standard error and exit code 1."""
    command: Callable[[], int]
    match sys.argv[1:]:
        case ["demo", *source] if len(source) < 2:
            command = partial(demo, source[0] if source else "dataset")
        case ["up"]:
            command = up
        case ["deploy", *pairs]:
            command = partial(redeploy, pairs)
        case ["down"]:
            command = down
        case _:
            return _print_error(USAGE)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit_on_signal)
    ignore_shell_settings()
    try:
        return command()
    except (Refused, CloudFailed, DeploymentFailed) as error:
        return _print_error(str(error))
    except DemoFailed as error:
        _print_error(str(error))
        return error.code


def _wait_until_ready(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{endpoint}/_distillery/ready", timeout=5):  # noqa: S310  # http, by construction
            return
        if process.poll() is not None or time.monotonic() > deadline:
            last = LOG.read_text("utf-8", "replace").strip().splitlines()[-1:]
            reason = last[0] if last else "it logged nothing."
            raise Refused(f"The local cloud did not start: {reason} (log: {LOG})")
        time.sleep(POLL_SECONDS)


def _print_outputs(port: int, outputs: Mapping[str, str]) -> int:
    """Print the stack's outputs and the environment variables that point an AWS client at the local cloud."""
    width = max(map(len, outputs), default=0)
    for name, value in sorted(outputs.items()):
        print_line(f"{name:<{width}}  {value}")
    print_line(
        f"\nexport AWS_ENDPOINT_URL=http://127.0.0.1:{port}\n"
        "export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test "
        "AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1"
    )
    return 0


def _exit_on_signal(number: int, _: FrameType | None) -> NoReturn:
    """Exit as an interrupt does, so that context managers stop the processes that this command started."""
    raise SystemExit(128 + number)


def _print_error(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 1

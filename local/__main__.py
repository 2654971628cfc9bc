"""`python -m local demo|up|deploy|down`: what the make targets of the same names run."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from functools import partial
from typing import TYPE_CHECKING

from local.background import LOG, Refused, running, spawn, stop, stopped_on_failure
from local.cloud import (
    LOOK_EVERY,
    START_SECONDS,
    CloudFailed,
    DeploymentFailed,
    LocalCloud,
    deploy,
    free_port,
)
from local.demo import BEGINNINGS, DemoFailed, distillery, headline, say, show_main_job

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import NoReturn

DEFAULT_PORT = 4566
USAGE = "Usage: python -m local demo [dataset|spec] | up | deploy [NAME=VALUE ...] | down"


def chosen_port() -> int | None:
    """`DISTILLERY_PORT`, checked; None when it is not set."""
    text = os.environ.get("DISTILLERY_PORT")
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise Refused(f"DISTILLERY_PORT is {text!r}, which is no port.")
    return int(text)


def require_free(port: int) -> None:
    """Refuse a port that something else listens on."""
    with socket.socket() as probe:
        # As the server does, or a port that was used a moment ago would seem taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Refused(
                f"Port {port} is taken by something else; DISTILLERY_PORT=<another> chooses one."
            ) from error


def demo(beginning: str) -> int:
    """The main job on a local cloud of its own, which ends with it; begins with a dataset or with a spec."""
    if beginning not in BEGINNINGS:
        raise Refused(f"FROM is {beginning!r}; the demonstration begins from {' or from '.join(BEGINNINGS)}.")
    begin = time.monotonic()
    port = chosen_port() or free_port()
    require_free(port)
    headline("The template is built and deployed to a local cloud by the SAM CLI")
    with LocalCloud(port) as cloud:
        deploy(cloud.endpoint)
        say(f"stack distillery at {cloud.endpoint}, after {time.monotonic() - begin:.0f} s")
        conclusion = show_main_job(port, BEGINNINGS[beginning])
    headline(f"Done in {time.monotonic() - begin:.0f} s, and the local cloud is gone again")
    say(conclusion)
    return 0


def up() -> int:
    """The local cloud in the background, deployed; the same again when it is up."""
    port = chosen_port()
    found = running()
    if found and port in {None, found.port}:
        return _say_where(found.port)
    if found:
        raise Refused(f"The local cloud is up on port {found.port} already; `make down` ends it.")
    port = port or DEFAULT_PORT
    require_free(port)
    endpoint = f"http://127.0.0.1:{port}"
    background, process = spawn(port)
    with stopped_on_failure(background):
        _wait_until_ready(endpoint, process)
        deploy(endpoint)
    return _say_where(port)


def redeploy(pairs: Sequence[str]) -> int:
    """Deploy the template again to the local cloud that is up, with other values for template parameters."""
    found = running()
    if not found:
        raise Refused("The local cloud is not up. Start it with `make up`.")
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise Refused(f"{pair!r} is not a parameter. Write NAME=VALUE.")
        parameters[name] = value
    deploy(f"http://127.0.0.1:{found.port}", parameters=parameters)
    return _say_where(found.port)


def down() -> int:
    """End what `up` began, if anything."""
    found = running()
    if found:
        stop(found)
    say("The local cloud is down.")
    return 0


def main() -> int:
    """Run one of the commands; what a user can fix is one sentence and exit 1."""
    command: Callable[[], int]
    match sys.argv[1:]:
        case ["demo", *beginning] if len(beginning) < 2:
            command = partial(demo, beginning[0] if beginning else "dataset")
        case ["up"]:
            command = up
        case ["deploy", *pairs]:
            command = partial(redeploy, pairs)
        case ["down"]:
            command = down
        case _:
            return _complain(USAGE)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        return command()
    except (Refused, CloudFailed, DeploymentFailed) as error:
        return _complain(str(error))
    except DemoFailed as error:
        _complain(str(error))
        return error.code
    except KeyboardInterrupt:
        return 130


def _wait_until_ready(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{endpoint}/_distillery/ready", timeout=5):  # noqa: S310  # http, by construction
            return
        if process.poll() is not None or time.monotonic() > deadline:
            last = LOG.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise Refused(f"The local cloud did not start: {' '.join(last) or 'it says nothing'} ({LOG})")
        time.sleep(LOOK_EVERY)


def _say_where(port: int) -> int:
    """The stack's outputs, and what points any AWS client at it."""
    environment = os.environ | {"DISTILLERY_PORT": str(port)}
    code = subprocess.run([distillery(), "outputs"], env=environment, check=False).returncode
    if code:
        return code
    say(
        f"\nexport AWS_ENDPOINT_URL=http://127.0.0.1:{port}\n"
        "export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test "
        "AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1"
    )
    return 0


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """A signal ends the command the way an interrupt does, so that everything is put away."""
    raise SystemExit(128 + number)


def _complain(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 1


sys.exit(main())

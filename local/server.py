"""The local cloud in one process: `python -m local.server --port N --data-dir DIR`.

The server listens on 127.0.0.1 only. `local.bedrock` answers requests signed for Bedrock and MiniStack
answers all others. The access key `test` with the secret `test` belongs to the account itself and may do
everything; every other identity may do only what its policies allow.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from local.bedrock.control import ControlApi
    from local.bedrock.service import Bedrock

HOST = "127.0.0.1"
SCOPE = "/bedrock/aws4_request"
SHUTDOWN_SECONDS = 3.0


def main() -> None:
    """Serve until SIGTERM or SIGINT. Exits with code 1 and one sentence when the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m local.server", description="The local cloud.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when the parent process ends")
    arguments = parser.parse_args()
    if not _port_is_free(arguments.port):
        sys.exit(f"Port {arguments.port} is taken by another process. Set DISTILLERY_PORT to another port.")
    folder = arguments.data_dir.resolve()
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "WARNING"), format="%(asctime)s %(name)s %(message)s"
    )
    # The translator logs its own usage metrics, which say nothing about the stack.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    settings = _settings()
    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    prepare_environment(arguments.port, scratch)
    try:
        asyncio.run(_serve(arguments.port, folder, settings, arguments.until_stdin_closes))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        logging.shutdown()
    # MiniStack's threads (pollers, schedulers) never end, so a normal exit would wait for them forever.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def prepare_environment(port: int, scratch: Path) -> None:
    """Set the variables that MiniStack reads at import and that its functions inherit."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "DISTILLERY_", "PYTHON"))]:
        # The functions must not inherit a profile, a role or a module path from the shell.
        del os.environ[name]
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        # They call this server only.
        del os.environ[name]
    os.environ.update(
        GATEWAY_PORT=str(port),
        BIND_HOST=HOST,
        MINISTACK_ACCOUNT_ID="123456789012",
        MINISTACK_REGION="us-east-1",
        MINISTACK_HOST=HOST,
        AUTH="true",
        LAMBDA_EXECUTOR="local",
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        PERSIST_STATE="0",
        LOG_LEVEL=os.environ.get("LOG_LEVEL", "WARNING"),
        AWS_ENDPOINT_URL=f"http://{HOST}:{port}",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",  # noqa: S106  # a fixed, public value
        AWS_DEFAULT_REGION="us-east-1",
        AWS_EC2_METADATA_DISABLED="true",
        TMPDIR=str(scratch),
        STATE_DIR=str(scratch),
        S3_DATA_DIR=str(scratch),
    )
    tempfile.tempdir = str(scratch)


def _settings() -> Any:
    from local.bedrock.settings import Settings

    try:
        return Settings.from_environment(dict(os.environ))
    except ValueError as error:
        sys.exit(f"A DISTILLERY_ setting is not valid: {error}")


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


async def _serve(port: int, folder: Path, settings: Any, until_stdin_closes: bool) -> None:
    # MiniStack reads its settings at import, so these imports follow prepare_environment.
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.core import hypercorn_compat, lambda_runtime

    from local.bedrock.context import Context
    from local.bedrock.control import ControlApi
    from local.bedrock.service import Bedrock
    from local.event_sources import convert_concurrency
    from local.function_runtime import use_function_runtime
    from local.role_simulation import authorize_simulation_by_role
    from local.s3_events import add_version_ids

    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    hypercorn_compat.install()
    add_version_ids()
    authorize_simulation_by_role()
    use_function_runtime(folder / "runtime")
    convert_concurrency()
    context = Context(f"http://{HOST}:{port}", models, settings)
    bedrock = Bedrock(context)
    config = Config()
    config.bind = [f"{HOST}:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = SHUTDOWN_SECONDS
    config.loglevel = "WARNING"
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    if until_stdin_closes:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stopping.set)
    try:
        await serve(Application(bedrock, ControlApi(bedrock)), config, shutdown_trigger=stopping.wait)
    finally:
        context.cancel_all()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        lambda_runtime.reset()


class Application:
    """The ASGI application: passes each request to the control API, the Bedrock emulator or MiniStack."""

    def __init__(self, bedrock: Bedrock, control: ControlApi) -> None:
        from ministack import app

        self._ministack: Callable[..., Awaitable[None]] = app.app
        self._bedrock = bedrock
        self._control = control

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._ministack(scope, receive, send)
            return
        from local.bedrock.control import PREFIX
        from local.bedrock.wire import Request, Response

        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        to_control = scope["path"].startswith(PREFIX)
        if not to_control and SCOPE not in headers.get("authorization", ""):
            # The bucket's policy requires TLS. Traffic on the loopback interface counts as TLS here.
            await self._ministack({**scope, "scheme": "https"}, receive, send)
            return
        body = await _body(receive)
        if to_control and "origin" in headers:
            # A browser sends this header for any web page, so no page can change the local cloud.
            response = Response(403, {}, b"")
        elif to_control:
            response = await self._control.handle(scope["method"], scope["path"], body)
        else:
            request = Request(
                scope["method"],
                scope["raw_path"].decode("ascii"),
                scope["query_string"].decode("ascii"),
                headers,
                body,
            )
            response = await self._bedrock.handle(scope, request)
        raw = [(name.encode(), value.encode()) for name, value in response.headers.items()]
        raw.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        await send({"type": "http.response.body", "body": response.body})


async def _body(receive: Callable[[], Awaitable[Any]]) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


if __name__ == "__main__":
    main()

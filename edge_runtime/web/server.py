"""Serves a page by uvicorn, until told to stop. Needs the extra `station` or `field`."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from ..bundle.errors import InputError, UnavailableError, os_errors_as

GRACE_SECONDS = 2  # for answers under way; streams are ended then
MOST_CONNECTIONS = 256


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there, port 0 being any free one; UnavailableError where the port is taken."""
    what = f"the page cannot listen on {host}:{port}"
    with os_errors_as(UnavailableError, what, "choose another host or port"):
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server(found[0][4][:2], family=found[0][0], backlog=MOST_CONNECTIONS)


def serve(
    app: ASGIApp,
    listening: socket.socket,
    stop: threading.Event,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests at the `listening` socket until `stop` is set, under TLS where `cert_file` is given.

    `ready` is called once it answers. Ends within 5 s after `stop`, whatever streams are open.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=cert_file,
        ssl_keyfile=key_file,
    )
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise InputError(f"cert_file {cert_file} and key_file {key_file} cannot be used ({error})") from None
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]

    def watch() -> None:
        while not stop.is_set():
            if server.started:
                ready()
                break
            stop.wait(0.02)
        stop.wait()
        server.should_exit = True

    threading.Thread(target=watch, name="stop", daemon=True).start()
    try:
        server.run(sockets=[listening])
    finally:
        stop.set()
        listening.close()

"""Serves a page by uvicorn, until told to stop. Needs the extra `station` or `field`."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..bundle.errors import InputError, UnavailableError, os_errors_as
from .accounts import Accounts
from .settings import PageSection
from .sse import OpenStreams

GRACE_SECONDS = 2  # for answers under way; streams are ended then
MOST_CONNECTIONS = 256
ALIVE_SECONDS = 5  # between two signs of life
HEAD_SECONDS = 10.0  # in which the head of a request has to arrive


class _Impatient(H11Protocol):
    """Hangs up on whoever does not finish the head of a request, so that such connections do not add up."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()

    def _look(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class _Server(uvicorn.Server):
    """Ends its streams before it waits for open requests."""

    streams: OpenStreams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.streams.end()
        await super().shutdown(sockets)


def certificate_names(cert_file: Path) -> list[str]:
    """Return the names and addresses that the certificate is for; InputError where the file holds none in PEM form."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    except (OSError, ValueError) as error:
        raise InputError(f"cert_file {cert_file} cannot be used ({error}); give a certificate in PEM form") from None
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def page_names(section: PageSection) -> list[str]:
    """Return the names by which the page may be asked for: those of [page] and of its certificate."""
    return [*section.names, *(certificate_names(section.cert_file) if section.cert_file else ())]


def try_page(section: PageSection, free: bool) -> str:
    """Read every file that [page] names, and listen where the port is `free`; return what the page would be.

    RarefaultError where it could not be served.
    """
    if section.users_file is None:
        raise InputError("users_file is not set in [page], so nobody could log in")
    accounts = Accounts.read(section.users_file)
    _config(_nothing, section.cert_file, section.key_file)
    own = page_names(section)
    if free:
        listen(section.host, section.port).close()
    names = f", by the names {', '.join(own)}" if own else ""
    return f"page on {section.address(section.port)}{names}; users: {', '.join(accounts.names()) or 'none'}"


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand in for an application where only the server's files are tried."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there, port 0 being any free one; UnavailableError where the port is taken."""
    what = f"the page cannot listen on {host}:{port}"
    with os_errors_as(UnavailableError, what, "choose another host or port"):
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listening = socket.create_server(found[0][4][:2], family=found[0][0], backlog=MOST_CONNECTIONS)
    # Connections inherit it. Else an answer of two packets waits 40 ms for the acknowledgement of the first one:
    # asyncio sets it only where a socket knows that its protocol is TCP, and these do not.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def serve(
    app: ASGIApp,
    listening: socket.socket,
    stop: threading.Event,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    ready: Callable[[], None] = lambda: None,
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests at the `listening` socket until `stop` is set, under TLS where `cert_file` is given.

    `ready` is called once it answers, and `alive` every few seconds by the loop that answers, which may come to hang.
    Ends within 5 s after `stop`, whatever streams are open.
    """
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every form that is none
    streams = OpenStreams()

    async def with_streams(scope: Scope, receive: Receive, send: Send) -> None:
        scope[OpenStreams.KEY] = streams
        await app(scope, receive, send)

    async def notify() -> None:
        alive()

    config = _config(with_streams, cert_file, key_file)
    config.callback_notify, config.timeout_notify = notify, ALIVE_SECONDS
    server = _Server(config)
    server.streams = streams

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


def _config(app: ASGIApp, cert_file: Path | None, key_file: Path | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=_Impatient,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
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
    return config

"""Where a repository's files are read from: a web server, or a folder such as a USB stick. Nothing here is trusted."""

import contextlib
import functools
import http.client
import re
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from ..bundle.errors import InputError
from ..causes import cause_of_error
from ..redact import redact
from ..secret_files import tls_context
from .errors import Reason, UpdateDelayed, UpdateRefused

PIECE = 1 << 14  # bytes read at once: what a cut can lose
SILENCE_SECONDS = 30.0  # without a byte, then the link counts as dead
SMALLEST_BUFFER = 1 << 13  # bytes that the system keeps of a connection that nobody has read yet
ABSENT = (403, 404, 410)  # HTTP statuses of a file that is not there; some stores answer 403 for that


class NotThere(UpdateDelayed):
    """The source has no such file; `status` is the HTTP status that says so."""

    def __init__(self, path: str, name: str, status: int = 404) -> None:
        super().__init__(Reason.LINK, f"{name} has no {path} (status {status})")
        self.status = status


@dataclass(frozen=True)
class OpenedFile:
    """The bytes of a file from `start` on, which is 0 where the source could not begin where it was asked to.

    `pieces` raises UpdateDelayed where the link breaks, so one that ends has come to the file's end.
    """

    start: int
    pieces: Iterator[bytes]


class Source(Protocol):
    """A repository's files, each named by its path below the repository: `metadata/timestamp.json`."""

    name: str  # for sentences, without credentials

    def open_range(self, path: str, start: int) -> AbstractContextManager[OpenedFile]:
        """Open a file from byte `start` on; NotThere, UpdateDelayed without a link, UpdateRefused for no plain file."""
        ...


class HttpSource:
    """A repository on a web server that serves plain files; ranges are used where it knows them.

    `ca_file` replaces the system's authorities. `bytes_per_second` keeps the system's buffer of a connection small, so
    that a link which is shared with alarms is not filled by what nobody has read yet.
    """

    def __init__(self, url: str, ca_file: Path | None = None, bytes_per_second: int = 0) -> None:
        parts = urlsplit(url)
        if not parts.hostname or "@" in parts.netloc:
            raise InputError(f"url {redact(url)} names no host, or a user; give https://HOST/FOLDER without a login")
        self._url, self.name = url.rstrip("/"), redact(url.rstrip("/"))
        self._ca_file, self._buffer = ca_file, max(bytes_per_second // 4, SMALLEST_BUFFER) if bytes_per_second else 0

    @contextlib.contextmanager
    def open_range(self, path: str, start: int) -> Iterator[OpenedFile]:
        """Ask for a file from byte `start` on."""
        with contextlib.closing(self._ask(path, start)) as response:
            begin = _first_byte(response) if start else 0
            if begin not in (0, start):
                raise UpdateDelayed(Reason.LINK, f"{self.name} answers from byte {begin} of {path}, not from {start}")
            yield OpenedFile(begin, self._pieces(response))

    def _ask(self, path: str, start: int) -> http.client.HTTPResponse:
        headers = {"User-Agent": "rarefault-station", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        request = urllib.request.Request(f"{self._url}/{quote(path, safe='/%')}", headers=headers)
        try:
            response: http.client.HTTPResponse = self._opener().open(request, timeout=SILENCE_SECONDS)
            return response
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and start:  # the file ends before `start`
                return self._ask(path, 0)
            if error.code in ABSENT:
                raise NotThere(path, self.name, error.code) from None
            raise UpdateDelayed(Reason.LINK, f"{self.name} answers with status {error.code}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._broken(error) from None

    def _opener(self) -> urllib.request.OpenerDirector:
        """Return what opens http and https alone, through the environment's proxy, following redirects between them."""
        opener = urllib.request.OpenerDirector()
        handlers: list[urllib.request.BaseHandler] = [
            urllib.request.ProxyHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.UnknownHandler(),
            _HttpHandler(self._buffer),
        ]
        if self._url.startswith("https:"):
            handlers.append(_HttpsHandler(self._buffer, self._ca_file))
        for handler in handlers:
            opener.add_handler(handler)
        return opener

    def _pieces(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        announced = response.getheader("Content-Length")
        left = int(announced) if announced and announced.isdigit() else None
        try:
            while piece := response.read1(PIECE):
                left = None if left is None else left - len(piece)
                yield piece
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._broken(error) from None
        if left:
            raise UpdateDelayed(Reason.LINK, f"{self.name} ended the connection {left} bytes too early")

    def _broken(self, error: Exception) -> UpdateDelayed:
        inner = getattr(error, "reason", error)  # of a URLError, which wraps what has happened
        cause = cause_of_error(inner if isinstance(inner, Exception) else error)
        return UpdateDelayed(Reason.LINK, f"{self.name}: {cause.value}, {cause.advice}")


class FolderSource:
    """A repository in a folder: a USB stick, a network drive. Links are refused, since they may lead anywhere."""

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = str(folder), folder

    @contextlib.contextmanager
    def open_range(self, path: str, start: int) -> Iterator[OpenedFile]:
        """Open a file from byte `start` on."""
        try:
            place = self._folder.resolve() / path
            if place.resolve() != place:
                raise UpdateRefused(Reason.HASH, f"{self._folder / path} is or lies behind a link")
            if not stat.S_ISREG(place.stat().st_mode):
                raise UpdateRefused(Reason.HASH, f"{self._folder / path} is no plain file")
            file = place.open("rb")
        except FileNotFoundError:
            raise NotThere(path, self.name) from None
        except (OSError, RuntimeError, ValueError) as error:  # the last two: a loop of links; a name no file can have
            raise UpdateDelayed(Reason.LINK, f"{self._folder / path} cannot be read ({error})") from None
        with file:
            begin = min(start, file.seek(0, 2))
            file.seek(begin)
            yield OpenedFile(begin, self._pieces(file, path)) if begin == start else OpenedFile(0, iter(()))

    def _pieces(self, file: BinaryIO, path: str) -> Iterator[bytes]:
        try:
            while piece := file.read(PIECE):
                yield piece
        except OSError as error:  # the stick was pulled out
            raise UpdateDelayed(Reason.LINK, f"{self._folder / path} cannot be read on ({error})") from None


def open_source(url: str, ca_file: Path | None = None, bytes_per_second: int = 0) -> Source:
    """Return the source that `url` names: https://, http://, file:// or a folder; InputError for another scheme."""
    parts = urlsplit(url)
    if parts.scheme in ("https", "http"):
        return HttpSource(url, ca_file, bytes_per_second)
    if parts.scheme == "file":
        folder = Path(url2pathname(parts.path))
        if parts.netloc not in ("", "localhost") or not folder.is_absolute():
            raise InputError(f"url {redact(url)!r} names no folder of this device; give file:///folder, or the folder")
        return FolderSource(folder)
    if "://" in url or not url:
        raise InputError(f"url {redact(url)!r} is of no known kind; give https://..., file:///folder or a folder")
    return FolderSource(Path(url))


def _first_byte(response: http.client.HTTPResponse) -> int:
    """Return which byte of the file an answer begins with; 0 for a server that does not know ranges."""
    if response.status != 206:
        return 0
    found = re.match(r"bytes (\d+)-", response.getheader("Content-Range") or "")
    return int(found[1]) if found else -1


class _NarrowConnection(http.client.HTTPConnection):
    """A connection with a receive `buffer` of so many bytes; 0 leaves it to the system."""

    def __init__(self, host: str, *, buffer: int, **options: Any) -> None:
        super().__init__(host, **options)
        self._receive_buffer = buffer

    def connect(self) -> None:
        """Connect, and from then on take no more ahead than the buffer holds."""
        super().connect()
        if self._receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)


class _NarrowTlsConnection(_NarrowConnection, http.client.HTTPSConnection):
    """The same with TLS."""


class _HttpHandler(urllib.request.HTTPHandler):
    """Opens http addresses by narrow connections."""

    def __init__(self, buffer: int) -> None:
        super().__init__()
        self._buffer = buffer

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Connect and send the request."""
        return self.do_open(functools.partial(_NarrowConnection, buffer=self._buffer), req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    """Opens https addresses by narrow connections; UnavailableError where `ca_file` cannot be used."""

    def __init__(self, buffer: int, ca_file: Path | None) -> None:
        self._buffer, self._tls = buffer, tls_context(ca_file)
        super().__init__(context=self._tls)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Connect and send the request."""
        return self.do_open(functools.partial(_NarrowTlsConnection, buffer=self._buffer), req, context=self._tls)

"""Connections to cameras, and what an RTSP camera says of its stream before a decoder opens it.

OpenCV only says "not opened". This asks first, on its own connection, with Basic and Digest login (RFC 7826, 7616), and
once more where the stream does not open, so that the cause is what the camera answered.
"""

import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from ..bundle.errors import RarefaultError
from ..causes import Cause, cause_of_error
from ..secret_files import tls_context
from .address import DEFAULT_PORTS, TLS_SCHEMES, CameraAddress, Kind
from .http_auth import answer_challenge, cause_of_status, challenges_by_scheme

MAX_ANSWER = 64 << 10  # bytes of one answer
MAX_ROUNDS = 6  # of one question: without login, with it, and after redirects
# Names of RTP payloads (RFC 3551 and its successors) that FFmpeg unpacks and OpenCV's build of it decodes.
KNOWN_CODECS = frozenset(
    ("H264", "H265", "JPEG", "MP4V-ES", "MPV", "H261", "H263", "H263-1998", "H263-2000", "VP8", "VP9")
)
TLS_ALERT = b"\x15\x03"  # with which a port that speaks TLS answers whoever does not


class SourceFailed(Exception):
    """A source cannot be opened or read, and this is why. Never leaves the camera's process."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.value)
        self.cause = cause


@dataclass(frozen=True)
class AnswerTimeout:
    """Silence is reported through `on_silence` after `answer_seconds`, then waited out for `extra_seconds` more.

    A frozen camera that thaws answers what it was asked, so waiting on finds it at once.
    """

    answer_seconds: float
    extra_seconds: float
    on_silence: Callable[[], None]


def connect(address: CameraAddress, seconds: float) -> socket.socket:
    """Return a connection to the host of `address`, with TLS where it says so; SourceFailed with the cause."""
    link = None
    try:
        link = socket.create_connection((address.host, address.port), seconds)
        if not address.tls:
            return link
        context = tls_context(Path(address.ca_file) if address.ca_file else None)
        return context.wrap_socket(link, server_hostname=address.host.partition("%")[0])
    except (OSError, ValueError, RarefaultError) as error:
        if link is not None:
            link.close()
        cause = Cause.MISCONFIGURED if isinstance(error, RarefaultError) else cause_of_error(error)
        if link is not None and cause in (Cause.TIMEOUT, Cause.CLOSED) and _speaks_plainly(address, seconds):
            cause = Cause.NO_TLS
        raise SourceFailed(cause) from error


def _speaks_plainly(address: CameraAddress, seconds: float) -> bool:
    """Whether a port that does not answer the first words of TLS answers a question without it."""
    question = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" if address.kind is Kind.RTSP else "GET / HTTP/1.0\r\n\r\n"
    with suppress(OSError), socket.create_connection((address.host, address.port), seconds) as link:
        link.sendall(question.encode())
        return link.recv(5) in (b"HTTP/", b"RTSP/")
    return False


def cause_of_silence(address: CameraAddress, seconds: float) -> Cause:
    """Return why a host closes a connection without an answer: it may want TLS, which is tried here."""
    if not address.tls:
        import ssl

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with suppress(OSError), socket.create_connection((address.host, address.port), seconds) as link:
            context.wrap_socket(link).close()
            return Cause.NEEDS_TLS
    return Cause.CLOSED


def redirected(address: CameraAddress, target: str) -> CameraAddress:
    """Return where `target`, a Location header, leads; SourceFailed where that is another host, or out of TLS."""
    location = urljoin(address.location, target.strip())
    parts = urlsplit(location)
    try:
        found = replace(address, location=location)
        near = found.host == address.host and found.port > 0
    except (ValueError, KeyError):
        near = False
    same_protocol = parts.scheme in DEFAULT_PORTS and parts.scheme[:4] == address.location[:4]
    if not near or not same_protocol or "@" in parts.netloc or (address.tls and parts.scheme not in TLS_SCHEMES):
        raise SourceFailed(Cause.REDIRECTED)
    return found


def describe(address: CameraAddress, timeout: AnswerTimeout) -> tuple[CameraAddress, str]:
    """Return where the stream is, after redirects within its host, and its description (SDP).

    SourceFailed where the camera describes none.
    """
    login = ""
    for _ in range(MAX_ROUNDS):
        status, head, body = _ask(address, "DESCRIBE", address.location, login, timeout)
        if status == 200:
            return address, body
        if 300 <= status < 400 and (target := _header(head, "location")):
            address, login = redirected(address, target[0]), ""
        elif status == 401 and not login:
            login = _login(address, "DESCRIBE", address.location, head)
        else:
            raise SourceFailed(cause_of_status(status))
    raise SourceFailed(Cause.REDIRECTED)


def cause_of_setup(address: CameraAddress, description: str, timeout: AnswerTimeout) -> Cause | None:
    """Return why the camera does not set up the video that it described, over TCP or else UDP; None where it does.

    CODEC where it does, but no decoder knows what it described. The session ends with the connection.
    """
    if (media := re.search(r"^m=video .*", description, re.MULTILINE | re.DOTALL)) is None:
        return Cause.NO_VIDEO
    control = re.search(r"^a=control:(\S+)", media[0], re.MULTILINE)
    target = address.location
    if control is not None:
        target = control[1] if "://" in control[1] else f"{target.rstrip('/')}/{control[1]}"
    for transport in ("RTP/AVP/TCP;unicast;interleaved=0-1", "RTP/AVP;unicast;client_port=49170-49171"):
        login = ""
        for _ in range(2):
            headers = f"{login}Transport: {transport}\r\n"
            status, head, _ = _ask(address, "SETUP", target, headers, timeout)
            if status == 401 and not login:
                login = _login(address, "SETUP", target, head)
        if status == 200:
            codecs = re.findall(r"^a=rtpmap:\d+ ([\w-]+)/", media[0], re.MULTILINE)
            return Cause.CODEC if codecs and not KNOWN_CODECS.intersection(map(str.upper, codecs)) else None
        if status != 461:
            break
    return cause_of_status(status)


def _login(address: CameraAddress, method: str, target: str, head: str) -> str:
    """Return the header line that answers the challenge in `head`."""
    offered = challenges_by_scheme(_header(head, "www-authenticate"))
    if address.user is None or not offered:
        raise SourceFailed(Cause.AUTH)
    return f"Authorization: {answer_challenge(offered, method, target, address.user, address.password or '')}\r\n"


def _header(head: str, name: str) -> list[str]:
    return re.findall(rf"^{name}:[ \t]*(.*?)\r?$", head, re.IGNORECASE | re.MULTILINE)


def _ask(
    address: CameraAddress, method: str, target: str, headers: str, timeout: AnswerTimeout
) -> tuple[int, str, str]:
    """Ask on a connection of its own, since some cameras close after a 401; return status, head and body."""
    request = (
        f"{method} {target} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\nUser-Agent: rarefault\r\n{headers}\r\n"
    )
    with connect(address, timeout.answer_seconds) as link:
        try:
            link.sendall(request.encode())
            data = _read_answer(link, timeout)
        except OSError as error:  # reset, or shut down while we waited
            data = b""
            if (cause := cause_of_error(error)) is not Cause.CLOSED:
                raise SourceFailed(cause) from error
    if not data or data.startswith(TLS_ALERT):
        raise SourceFailed(cause_of_silence(address, timeout.answer_seconds))
    head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
    match = re.match(r"RTSP/\d\.\d (\d{3})", head)
    if match is None:
        raise SourceFailed(Cause.WRONG_SERVICE)
    return int(match[1]), head, body


def _read_answer(link: socket.socket, timeout: AnswerTimeout) -> bytes:
    """Return the answer: head and as much of a body as its length says, or what came before the other side closed.

    What is no RTSP is not read to its end. SourceFailed with TIMEOUT where a silence has been waited out.
    """
    data = b""
    deadline = time.monotonic() + timeout.answer_seconds
    reported = False
    while len(data) <= MAX_ANSWER and not _is_whole(data):
        if (left := deadline - time.monotonic()) <= 0:
            if reported:
                raise SourceFailed(Cause.TIMEOUT)
            reported = True
            timeout.on_silence()
            deadline += timeout.extra_seconds
            continue
        link.settimeout(left)
        try:
            piece = link.recv(4096)
        except TimeoutError:
            continue
        if not piece:
            break
        data += piece
    return data


def _is_whole(data: bytes) -> bool:
    if len(data) >= 5 and not data.startswith(b"RTSP/"):
        return True
    head, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length:\s*(\d+)", head, re.IGNORECASE | re.MULTILINE)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)

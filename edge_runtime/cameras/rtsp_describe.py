"""Ask an RTSP camera for its stream's description, to learn why it would not open.

OpenCV only says "not opened". This asks first, on its own connection, with Basic and Digest login (RFC 7826, 7616).
"""

import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..causes import Cause
from .address import CameraAddress
from .http_auth import answer_challenge, cause_of_status, challenges_by_scheme

MAX_ANSWER = 64 << 10  # bytes of one answer
AUTH_ROUNDS = 2  # without login, then with it


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
    """Return a TCP connection to the host of `address`; SourceFailed with the cause."""
    try:
        return socket.create_connection((address.host, address.port), seconds)
    except (socket.gaierror, ValueError) as error:  # unknown, or no name at all
        raise SourceFailed(Cause.NOT_FOUND) from error
    except ConnectionRefusedError as error:
        raise SourceFailed(Cause.REFUSED) from error
    except OSError as error:  # no answer, no route, network down
        raise SourceFailed(Cause.TIMEOUT) from error


def describe(address: CameraAddress, timeout: AnswerTimeout) -> None:
    """Return where the camera describes its stream; SourceFailed where it does not."""
    login = ""
    for _ in range(AUTH_ROUNDS):
        with connect(address, timeout.answer_seconds) as link:  # anew: some cameras close after a 401
            status, headers = _ask(link, address, login, timeout)
        if status != 401:
            break
        offered = challenges_by_scheme(re.findall(r"^www-authenticate:(.*)$", headers, re.IGNORECASE | re.MULTILINE))
        if address.user is None or not offered:
            raise SourceFailed(Cause.AUTH)
        login = answer_challenge(offered, "DESCRIBE", address.location, address.user, address.password or "")
    if status != 200:
        raise SourceFailed(cause_of_status(status, rtsp=True))


def _ask(link: socket.socket, address: CameraAddress, login: str, timeout: AnswerTimeout) -> tuple[int, str]:
    """Return status and header lines of the answer."""
    extra = f"Authorization: {login}\r\n" if login else ""
    request = f"DESCRIBE {address.location} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n{extra}\r\n"
    try:
        link.sendall(request.encode())
        head = _read_head(link, timeout)
    except OSError as error:  # reset, or shut down while we waited
        raise SourceFailed(Cause.TIMEOUT) from error
    match = re.match(r"RTSP/\d\.\d (\d{3})", head)
    if match is None:
        raise SourceFailed(Cause.CODEC)
    return int(match[1]), head


def _read_head(link: socket.socket, timeout: AnswerTimeout) -> str:
    data = b""
    deadline = time.monotonic() + timeout.answer_seconds
    reported = False
    while b"\r\n\r\n" not in data:
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
            raise SourceFailed(Cause.TIMEOUT)
        data += piece
        if len(data) > MAX_ANSWER:
            raise SourceFailed(Cause.CODEC)
    return data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")

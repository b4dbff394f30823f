"""What a camera's address means. User and password travel beside it; only a decoder gets them inside the address."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ..bundle.errors import InputError, os_errors_as
from ..media.video_files import VIDEO_SUFFIXES
from ..redact import redact

DEFAULT_PORTS = {"rtsp": 554, "http": 80, "https": 443}


class Kind(str, Enum):
    """How frames come from an address."""

    RTSP = "rtsp"
    MJPEG = "mjpeg"
    USB = "usb"
    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True)
class CameraAddress:
    """Where frames come from. `location`, a URL or path, has neither user nor password, yet may hold a key."""

    kind: Kind
    location: str = field(repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def endless(self) -> bool:
        """Whether an end of the stream is a fault that calls for another try."""
        return self.kind in (Kind.RTSP, Kind.MJPEG, Kind.USB)

    @property
    def host(self) -> str:
        """The host of a network address."""
        return urlsplit(self.location).hostname or ""

    @property
    def port(self) -> int:
        """The port of a network address, the scheme's own where the address names none."""
        parts = urlsplit(self.location)
        return parts.port or DEFAULT_PORTS[parts.scheme]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that `redact` must look for, beside its patterns."""
        login = f"{self.user or ''}:{self.password or ''}"
        return tuple(text for text in (self.password, login) if text and text != ":")

    def with_credentials(self) -> str:
        """Return the address as a decoder needs it, user and password percent-encoded inside. Never to be shown."""
        if self.user is None:
            return self.location
        login = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password is not None else "")
        return self.location.replace("://", f"://{login}@", 1)


def parse_address(address: str, user: str | None = None, password: str | None = None) -> CameraAddress:
    """Return what `address` means: rtsp://, http(s)://, usb:0 or /dev/video0, a video file, or a folder of images.

    `user` and `password`, as they are, take the place of those inside the address, which are percent-encoded.
    """
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if scheme in DEFAULT_PORTS:
        return _network(scheme, address, user, password)
    if scheme not in ("", "file"):
        known = "rtsp://, http://, https://, usb:N, a video file or a folder"
        raise InputError(f"{quotable(address)} has an unknown scheme; a camera's address is {known}")
    device = address.removeprefix("usb:").removeprefix("/dev/video")
    if device.isdecimal():
        return CameraAddress(Kind.USB, f"/dev/video{int(device)}")
    path = Path(address.removeprefix("file://")).absolute()
    with os_errors_as(InputError, f"{quotable(address)} cannot be read", "check the camera's address"):
        if path.is_dir():
            return CameraAddress(Kind.FOLDER, str(path))
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return CameraAddress(Kind.FILE, str(path))
    raise InputError(f"{quotable(address)} is no folder and no video file by its name; check the camera's address")


def quotable(address: str) -> str:
    """Return `address` as a message may show it. One with an "@" is not shown: a login may stand in any part of it."""
    return "the camera's address" if "@" in address else redact(address)


def _network(scheme: str, address: str, user: str | None, password: str | None) -> CameraAddress:
    authority, slash, path = address.partition("://")[2].partition("/")
    login, at, host = authority.rpartition("@")  # the last one: people do not encode the "@" of a password
    place = host + slash + path
    try:
        parts = urlsplit(f"{scheme}://{place}")
        complete = bool((parts.hostname or "").encode("idna")) and parts.port != 0  # refuses 10..0.5 too
    except ValueError:
        complete = False
    if not complete:
        raise InputError(f"{quotable(address)} names no host, or no valid port; write {scheme}://host:port/path")
    if at and user is None and password is None:
        name, colon, word = login.partition(":")
        user, password = unquote(name), unquote(word) if colon else None
    kind = Kind.RTSP if scheme == "rtsp" else Kind.MJPEG
    return CameraAddress(kind, f"{scheme}://{place}", user, password)

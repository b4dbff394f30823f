"""What a camera's address means. Credentials leave the address here and never come back into text."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ..bundle.errors import InputError
from ..media.video_files import VIDEO_SUFFIXES
from ..redact import redact

DEFAULT_PORTS = {"rtsp": 554, "http": 80, "https": 443}


class Kind(str, Enum):
    """The kinds of sources."""

    RTSP = "rtsp"
    MJPEG = "mjpeg"
    USB = "usb"
    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True)
class Source:
    """Where frames come from. `shown` may be shown. `address` has neither user nor password, yet may hold a key."""

    kind: Kind
    address: str = field(repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The address for people, without secret parameters."""
        return redact(self.address)

    @property
    def endless(self) -> bool:
        """Whether an end of the stream is a fault that calls for another try."""
        return self.kind in (Kind.RTSP, Kind.MJPEG, Kind.USB)

    @property
    def host(self) -> str:
        """Of a network source."""
        return urlsplit(self.address).hostname or ""

    @property
    def port(self) -> int:
        """Of a network source, the scheme's own where the address names none."""
        parts = urlsplit(self.address)
        return parts.port or DEFAULT_PORTS[parts.scheme]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What `redact` must look for, beside its patterns."""
        login = f"{self.user or ''}:{self.password or ''}"
        return tuple(text for text in (self.password, login) if text and text != ":")

    def with_credentials(self) -> str:
        """The address as a decoder needs it. Never to be shown."""
        if self.user is None:
            return self.address
        login = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password is not None else "")
        return self.address.replace("://", f"://{login}@", 1)


def parse_source(address: str, user: str | None = None, password: str | None = None) -> Source:
    """The source behind `address`: rtsp://, http(s)://, usb:0 or /dev/video0, a video file, or a folder of images.

    `user` and `password`, as they are, take the place of those inside the address, which are percent-encoded.
    """
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if scheme in DEFAULT_PORTS:
        return _network(scheme, address, user, password)
    if scheme not in ("", "file"):
        known = "rtsp://, http://, https://, usb:N, a video file or a folder"
        raise InputError(f"{redact(address)} has an unknown scheme; a camera's address is {known}")
    device = address.removeprefix("usb:").removeprefix("/dev/video")
    if device.isdecimal():
        return Source(Kind.USB, f"/dev/video{int(device)}")
    path = Path(address.removeprefix("file://")).absolute()
    if path.is_dir():
        return Source(Kind.FOLDER, str(path))
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return Source(Kind.FILE, str(path))
    raise InputError(f"{redact(address)} is no folder and no video file by its name; check the camera's address")


def _network(scheme: str, address: str, user: str | None, password: str | None) -> Source:
    authority, slash, path = address.partition("://")[2].partition("/")
    login, at, host = authority.rpartition("@")  # the last one: people do not encode the "@" of a password
    place = host + slash + path
    try:
        parts = urlsplit(f"{scheme}://{place}")
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete:
        raise InputError(f"{redact(address)} names no host, or no valid port; write {scheme}://host:port/path")
    if at and user is None and password is None:
        name, colon, word = login.partition(":")
        user, password = unquote(name), unquote(word) if colon else None
    kind = Kind.RTSP if scheme == "rtsp" else Kind.MJPEG
    return Source(kind, f"{scheme}://{place}", user, password)

"""What a camera's address means. User and password travel beside it; only a decoder gets them inside the address."""

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ..bundle.errors import InputError, os_errors_as
from ..media.file_kinds import VIDEO_SUFFIXES
from ..redact import redact
from ..text_files import as_on_disk

DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
TLS_SCHEMES = ("rtsps", "https")
# What may be a host behind an "@": numbers with dots, or anything with a port or a path.
_HOST = re.compile(r"(\d+\.){3}\d+|(\[[^\]]+\]|[\w.-]+)(:\d+(/.*)?|/.*)")
ENCODED = "in a user or password write %2F for /, %40 for @, %3F for ?, %23 for # and %25 for %"


class Kind(str, Enum):
    """How frames come from an address."""

    RTSP = "rtsp"
    MJPEG = "mjpeg"
    USB = "usb"
    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True)
class CameraAddress:
    """Where frames come from. `location`, a URL or path, has neither user nor password, yet may hold a key.

    `ca_file` is the path of the certificate by which a host with TLS is known, empty for the system's authorities.
    """

    kind: Kind
    location: str = field(repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: str = field(default="", repr=False)

    @property
    def endless(self) -> bool:
        """Whether an end of the stream is a fault that calls for another try."""
        return self.kind in (Kind.RTSP, Kind.MJPEG, Kind.USB)

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.location).scheme in TLS_SCHEMES

    @property
    def host(self) -> str:
        """The host of a network address."""
        return (urlsplit(self.location).hostname or "").replace("%25", "%")  # of an IPv6 address' zone

    @property
    def port(self) -> int:
        """The port of a network address, the scheme's own where the address names none."""
        parts = urlsplit(self.location)
        return parts.port or DEFAULT_PORTS[parts.scheme]

    @property
    def authority(self) -> str:
        """Host and port as the header `Host` has them: IPv6 in brackets, no zone, no port that is the scheme's own."""
        host = self.host.partition("%")[0]
        host = f"[{host}]" if ":" in host else host.encode("idna").decode()
        own = self.port == DEFAULT_PORTS[urlsplit(self.location).scheme]
        return host if own else f"{host}:{self.port}"

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
    """Return what `address` means: rtsp(s)://, http(s)://, usb:0 or /dev/..., a video file, or a folder of pictures.

    `user` and `password`, as they are, take the place of those inside the address, which are percent-encoded.
    """
    if not address:
        raise InputError("the camera's address is empty; set it")
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if scheme in DEFAULT_PORTS:
        return _network(scheme, address, user, password)
    if scheme not in ("", "file"):
        known = "rtsp://, rtsps://, http://, https://, usb:N, a video file or a folder"
        raise InputError(f"{quotable(address)} has an unknown scheme; a camera's address is {known}")
    device = address.removeprefix("usb:")
    if device.isdecimal():
        return CameraAddress(Kind.USB, f"/dev/video{int(device)}")
    if device.startswith("/dev/"):
        return CameraAddress(Kind.USB, device)
    with os_errors_as(InputError, f"{quotable(address)} cannot be read", "check the camera's address"):
        path = as_on_disk(Path(_local_path(address))).absolute()
        if path.is_dir() or address.endswith("/"):
            return CameraAddress(Kind.FOLDER, str(path))
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return CameraAddress(Kind.FILE, str(path))
    raise InputError(
        f"{quotable(address)} is no folder and no video file by its name; an address in the network begins with "
        "rtsp:// or http://, a USB camera is usb:0, and a folder that is not there yet ends with /"
    )


def anchored(address: str, folder: Path) -> str:
    """Return `address` without outer blanks, and with a relative path of a file or folder counted from `folder`."""
    address = address.strip()
    if not address or "://" in address or address.startswith(("usb:", "file:")) or address.isdecimal():
        return address
    return f"{folder / address}{'/' if address.endswith('/') else ''}"


def _local_path(address: str) -> str:
    """Return the path in an address like file:///srv/yard%20one.mp4, or the path that `address` is."""
    if not address.lower().startswith("file:"):
        return address
    place = re.sub(r"(?i)^file:(//(localhost)?(?=/))?", "", address)
    if place.startswith("//"):
        raise InputError(
            f"{quotable(address)} names another machine; mount that folder here, and write file:///path, or the path"
        )
    return place if Path(place).exists() else unquote(place)


def quotable(address: str) -> str:
    """Return `address` as a message may show it. One with an "@" is not shown: a login may stand in any part of it."""
    return "the camera's address" if "@" in address else redact(address)


def _network(scheme: str, address: str, user: str | None, password: str | None) -> CameraAddress:
    rest = address.partition("://")[2]
    authority, slash, path = rest.partition("/")
    if "@" in path and _HOST.fullmatch(path.rpartition("@")[2]):
        raise InputError(
            f"{quotable(address)} has a / before an @; {ENCODED}, or give them as username and password_file"
        )
    login, at, host = authority.rpartition("@")  # the last one: people do not encode the "@" of a password
    place = host + slash + path.replace(" ", "%20")
    try:
        parts = urlsplit(f"{scheme}://{place}")
        host_known = bool((parts.hostname or "").encode("idna")) and parts.port != 0  # refuses 10..0.5 too
        complete = host_known and place.isprintable()  # a line break would end the request
    except ValueError:
        complete = False
    if not complete:
        raise InputError(
            f"{quotable(address)} names no host or no valid port, or holds a line break; write {scheme}://host:port/path"
        )
    if at and user is None and password is None:
        name, colon, word = login.partition(":")
        user, password = unquote(name), unquote(word) if colon else None
    kind = Kind.RTSP if scheme in ("rtsp", "rtsps") else Kind.MJPEG
    return CameraAddress(kind, f"{scheme}://{place}", user, password)

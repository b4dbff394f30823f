"""`station.toml`: the station, its cameras, decisions and sinks. Secrets never stand in its text."""

import dataclasses
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ..alerts.settings import DecisionSection, MqttSection, SamplesSection, WebhookSection
from ..bundle.errors import InputError
from ..bundle.store import STATE_DIR
from ..cameras.address import anchored
from ..cameras.settings import CameraSettings
from ..judgements.settings import FeedbackSection
from ..settings_reader import build, check_name, number, plain_name, read_toml
from ..updates.settings import UpdatesSection
from ..updates.slots import Slots
from ..web.settings import PageSection

CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_SECRET_KEY = re.compile(r"(?i)(.*_)?(password|passwd|passphrase|pass|pwd|secret|token|credentials|api_?key)")
_SECRET_IN_QUERY = re.compile(r"(^|[?&;/])(\w*(pass|pwd|secret|token|api_?key)\w*|auth|key|sig)=[^&]", re.IGNORECASE)
# A file or folder: no ":" before its "@", a "/" before it, and no mistyped scheme at its start.
_PATH_WITH_AT = re.compile(r"(?i)file://.*|(?!(rtsp|http)s?\W)[^:@]*/[^:@]*@[^@]*")
T = TypeVar("T")


@dataclass(frozen=True)
class StationSection:
    """[station]. `picture_bytes` bounds the pictures in `state_dir`: samples go first, then those of
    alarms that every sink has acknowledged; what waits has no bound.

    `engine` and `precision` as in `edge-classify`; `threads` cores for one inference, 0 leaves one to the cameras.
    `report_at` is the local time of the night's report. Pictures, scores and archives of feedback are deleted after
    `retention_days`, whether all sinks have them or not; 0 keeps them as long as there is room.
    """

    name: str
    state_dir: Path = STATE_DIR
    bundle: Path | None = None  # the factory bundle: it serves where no slot below state_dir does
    picture_bytes: int = number(4 << 30, low=0)
    heartbeat_seconds: float = number(60.0, low=1)
    engine: str = "auto"
    precision: str = "auto"
    threads: int = number(0, low=0)
    test_alarm_hours: float = number(12.0, low=0)  # between two test alarms by themselves; 0: none
    report_at: str = "07:00"
    retention_days: float = number(0.0, low=0)

    def __post_init__(self) -> None:
        check_name("the station", self.name)
        if not CLOCK_TIME.fullmatch(self.report_at):
            raise InputError(f"report_at is {self.report_at!r}, expected a local time like 07:00")

    @property
    def slots(self) -> Slots:
        """The slots that updates fill; `bundle` is the factory bundle below them."""
        return Slots(self.state_dir, self.bundle)

    def bundle_folder(self) -> Path:
        """Return the folder of the bundle that serves; InputError where there is none."""
        return self.slots.current()

    @property
    def cores(self) -> int:
        """The number of threads of one inference."""
        return self.threads or max(1, len(os.sched_getaffinity(0)) - 1)


@dataclass(frozen=True)
class HttpSection:
    """[http]: metrics, /healthz and /status."""

    host: str = "127.0.0.1"
    port: int = number(9464, low=0, high=65535)  # 0: any free one

    def place(self) -> tuple[socket.AddressFamily, tuple[str, int]]:
        """Return the family of addresses, and host and port where to listen; OSError where the host is none."""
        host = self.host.strip("[]")
        found = socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return found[0][0], (host, self.port)


@dataclass(frozen=True)
class StationSettings:
    """The whole of `station.toml`."""

    station: StationSection
    camera: tuple[CameraSettings, ...] = ()
    decision: DecisionSection = field(default_factory=DecisionSection)
    mqtt: MqttSection | None = None
    webhook: WebhookSection | None = None
    http: HttpSection = field(default_factory=HttpSection)
    samples: SamplesSection = field(default_factory=SamplesSection)
    updates: UpdatesSection = field(default_factory=UpdatesSection)
    feedback: FeedbackSection = field(default_factory=FeedbackSection)
    page: PageSection = field(default_factory=PageSection)

    def __post_init__(self) -> None:
        names = [camera.name for camera in self.camera]
        taken: dict[str, str] = {}
        for name in names:
            if (plain := plain_name(name)) in taken:
                raise InputError(
                    f"two cameras are called {taken[plain]} and {name}; they must differ in letters or digits"
                )
            taken[plain] = name
        self.decision.check(names)


def load_station_settings(path: Path) -> StationSettings:
    """Read and check `station.toml`; paths in it count from its folder. InputError names the key, never a secret."""
    content = read_toml(path)
    try:
        _refuse_secrets(content)
        settings = build(StationSettings, content, "")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    folder = path.absolute().parent
    cameras = tuple(
        replace(camera, url=anchored(camera.url, folder) if camera.url else "") for camera in settings.camera
    )
    updates = replace(settings.updates, url=anchored(settings.updates.url, folder))
    return _anchored(replace(settings, camera=cameras, updates=updates), folder)


def _refuse_secrets(content: Mapping[str, Any]) -> None:
    for name, key, value in _leaves(content, ""):
        if _SECRET_KEY.fullmatch(key):
            raise InputError(
                f"{name} is a secret, and secrets do not stand in the settings; put it into a file that only the "
                f"service may read and give that as {_file_key(name)}, or set {_variable(name)} in the environment"
            )
        if isinstance(value, str) and _holds_secret(key, value):
            raise InputError(
                f"{name} holds a user name, password or token; give the user as username and the password in a file as "
                "password_file or in the environment, or put the whole address into a file and give that as url_file"
            )


def _leaves(value: object, name: str) -> Iterator[tuple[str, str, object]]:
    """Yield (dotted name, last key, value) of everything in the document."""
    if isinstance(value, Mapping):
        entries = [(f"{name}.{key}" if name else key, key, entry) for key, entry in value.items()]
    elif isinstance(value, list):
        entries = [(f"{name}[{place}]", "", entry) for place, entry in enumerate(value)]
    else:
        return
    for path, key, entry in entries:
        yield path, key, entry
        yield from _leaves(entry, path)


def _holds_secret(key: str, text: str) -> bool:
    if ("://" in text or key == "url") and _SECRET_IN_QUERY.search(text):
        return True
    if authority := re.match(r"\w+://([^/?#]+)", text):
        return "@" in authority[1]
    # The scheme may be missing or mistyped: only what is clearly a path may have an "@".
    return key in ("url", "host") and "@" in text and not _PATH_WITH_AT.fullmatch(text)


def _file_key(name: str) -> str:
    if name.startswith("webhook"):
        return "webhook.secret_file"
    return name.rpartition(".")[0] + ".password_file" if "." in name else "password_file"


def _variable(name: str) -> str:
    section = re.split(r"[.\[]", name)[0]
    known = {"mqtt": "RAREFAULT_MQTT_PASSWORD", "webhook": "RAREFAULT_WEBHOOK_SECRET"}
    return known.get(section, "RAREFAULT_CAMERA_<NAME>_PASSWORD")


def _anchored(section: T, folder: Path) -> T:
    """Return the same settings with every relative path below `folder`."""

    def moved(value: Any) -> Any:
        if isinstance(value, Path):
            return folder / value
        if isinstance(value, tuple):
            return tuple(moved(entry) for entry in value)
        return _anchored(value, folder) if dataclasses.is_dataclass(value) else value

    values = {item.name: moved(getattr(section, item.name)) for item in dataclasses.fields(section)}  # type: ignore[arg-type]
    return replace(section, **values)  # type: ignore[type-var]

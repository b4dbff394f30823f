"""`station.toml`: what a station watches, how it decides and whom it tells. Secrets never stand in its text.

A secret comes from a file of its own that the settings name, or from the environment, and is read when it is needed, so
it can be changed without a restart and never lies in an object that somebody prints.
"""

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ..alerts.votes import CameraRule, VoteRule, camera_rule
from ..bundle.decision import DecisionRule
from ..bundle.errors import InputError, UnavailableError
from ..cameras.settings import CameraSettings
from ..secret_files import find_secret, read_secret
from ..settings_reader import build, check_at_least, check_name, check_one_of, nearest, plain_name, read_toml

PICTURES = ("frame", "heatmap")
CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
CURRENT_SLOT = Path("slots") / "current"  # below state_dir

_SECRET_KEY = re.compile(
    r"(.*_)?(password|passwd|passphrase|pass|pwd|secret|token|credentials|api_?key)", re.IGNORECASE
)
_SECRET_IN_QUERY = re.compile(r"(^|[?&;/])(\w*(pass|pwd|secret|token|api_?key)\w*|auth|key|sig)=[^&]", re.IGNORECASE)
T = TypeVar("T")


@dataclass(frozen=True)
class StationSection:
    """[station]. `picture_bytes` bounds the pictures in `state_dir`: samples go first, then those of
    alarms that every sink has acknowledged; what waits has no bound.

    `engine` and `precision` as in `edge-classify`; `threads` cores for one inference, 0 leaves one to the cameras.
    `report_at` is the local time of the night's report.
    """

    name: str
    state_dir: Path = Path("/var/lib/rarefault")
    bundle: Path | None = None  # None: the current slot below state_dir
    picture_bytes: int = 4 << 30
    heartbeat_seconds: float = 60.0
    engine: str = "auto"
    precision: str = "auto"
    threads: int = 0
    test_alarm_hours: float = 12.0  # between two test alarms by themselves; 0: none
    report_at: str = "07:00"

    def __post_init__(self) -> None:
        check_name("the station", self.name)
        check_at_least("threads", self.threads, 0)
        check_at_least("test_alarm_hours", self.test_alarm_hours, 0)
        if not CLOCK_TIME.fullmatch(self.report_at):
            raise InputError(f"report_at is {self.report_at!r}, expected a local time like 07:00")
        check_at_least("picture_bytes", self.picture_bytes, 0)
        check_at_least("heartbeat_seconds", self.heartbeat_seconds, 1)

    @property
    def cores(self) -> int:
        """Threads of one inference."""
        return self.threads or max(1, len(os.sched_getaffinity(0)) - 1)


@dataclass(frozen=True)
class Overrides:
    """What may be decided otherwise than the bundle and the default votes say, by name."""

    needed: int | None = None
    window: int | None = None
    release: int | None = None
    cooldown: float | None = None  # seconds
    max_age: float | None = None  # seconds
    thresholds: dict[str, float] = field(default_factory=dict)

    def given(self) -> dict[str, Any]:
        """Those that were set."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(Overrides)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class DecisionSection(Overrides):
    """[decision] for all cameras, and [decision.camera.NAME] for one of them."""

    camera: dict[str, Overrides] = field(default_factory=dict)


@dataclass(frozen=True)
class MqttSection:
    """[mqtt]. `inline` names the pictures that travel inside an event; the others are references."""

    host: str
    port: int = 0  # 0: 8883 with TLS, else 1883
    tls: bool = True
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    username: str = ""
    password_file: Path | None = None
    client_id: str = ""  # empty: rarefault-<station>
    keepalive: int = 30  # seconds
    timeout: float = 20.0  # seconds, for a connection and for an acknowledgement
    inline: tuple[str, ...] = ("heatmap",)
    need_subscriber: bool = True  # an alarm that the broker took while nobody was subscribed is sent again

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"port is {self.port}, expected 1 to 65535")
        if not 5 <= self.keepalive <= 3600:
            raise InputError(f"keepalive is {self.keepalive}, expected 5 to 3600 seconds")
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise InputError("tls is false, but ca_file, cert_file or key_file is set; set tls = true or remove them")
        check_at_least("timeout", self.timeout, 0.1)
        _check_pictures(self.inline)

    def password(self) -> str | None:
        """From `password_file`, else from RAREFAULT_MQTT_PASSWORD. UnavailableError where the file cannot be read."""
        return find_secret(self.password_file, "RAREFAULT_MQTT_PASSWORD")


@dataclass(frozen=True)
class WebhookSection:
    """[webhook]. `url_file` holds a url that is itself a secret."""

    url: str = ""
    url_file: Path | None = None
    secret_file: Path | None = None
    ca_file: Path | None = None
    timeout: float = 20.0  # seconds
    inline: tuple[str, ...] = ("heatmap",)

    def __post_init__(self) -> None:
        check_one_of("url", self.url, "url_file", self.url_file)
        if self.url:
            _check_web_address(self.url)
        check_at_least("timeout", self.timeout, 0.1)
        _check_pictures(self.inline)

    def address(self) -> str:
        """The url; never log it where it came from `url_file`. UnavailableError where that cannot be read."""
        if not self.url_file:
            return self.url
        url = read_secret(self.url_file)
        _check_web_address(url)
        return url

    def secret(self) -> str:
        """The key of the signatures. UnavailableError where there is none."""
        secret = find_secret(self.secret_file, "RAREFAULT_WEBHOOK_SECRET")
        if secret is None:
            raise UnavailableError(
                "the webhook has no secret to sign with; set secret_file in [webhook] or RAREFAULT_WEBHOOK_SECRET"
            )
        return secret


@dataclass(frozen=True)
class HttpSection:
    """[http]: metrics and /healthz."""

    host: str = "127.0.0.1"
    port: int = 9464

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"port is {self.port}, expected 1 to 65535, or 0 for any free one")


@dataclass(frozen=True)
class SamplesSection:
    """[samples]: hard examples for the central team, oldest dropped first beyond `bytes`."""

    bytes: int = 1 << 30
    send: bool = False
    uncertain_margin: float = 0.15  # probability: how near to a threshold is uncertain
    rare_share: float = 0.02  # of a camera's frames: a label seen less often is rare
    interval: float = 300.0  # seconds between two samples of one camera for one reason

    def __post_init__(self) -> None:
        check_at_least("bytes", self.bytes, 0)
        check_at_least("interval", self.interval, 0)
        for name in ("uncertain_margin", "rare_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected 0 to 1")


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

    def __post_init__(self) -> None:
        names = [camera.name for camera in self.camera]
        taken: dict[str, str] = {}
        for name in names:
            if (plain := plain_name(name)) in taken:
                raise InputError(
                    f"two cameras are called {taken[plain]} and {name}; they must differ in letters or digits"
                )
            taken[plain] = name
        for name in self.decision.camera:
            if name not in names:
                raise InputError(f"decision.camera.{name} is no camera of this station{nearest(name, names)}")
        for name in names:
            try:
                dataclasses.replace(VoteRule(), **_without_thresholds(self._overrides(name)))
            except InputError as error:
                raise InputError(f"decision of {name}: {error}") from None

    def rule(self, camera: str, bundle: DecisionRule) -> CameraRule:
        """How `camera` decides with this bundle. InputError where a threshold is for no fault of the bundle."""
        return camera_rule(bundle, VoteRule(), self._overrides(camera))

    def _overrides(self, camera: str) -> dict[str, Any]:
        own = self.decision.camera.get(camera, Overrides())
        thresholds = {**self.decision.thresholds, **own.thresholds}
        return {**self.decision.given(), **own.given(), "thresholds": thresholds}


def load_station_settings(path: Path) -> StationSettings:
    """Read and check `station.toml`; paths in it count from its folder. InputError names the key, never a secret."""
    content = read_toml(path)
    try:
        _refuse_secrets(content)
        settings = build(StationSettings, content, "")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return _anchored(settings, path.absolute().parent)


def current_bundle(station: StationSection) -> Path:
    """The folder of the bundle to run; InputError where there is none."""
    if station.bundle is not None:
        return station.bundle
    slot = station.state_dir / CURRENT_SLOT
    if not slot.exists():
        raise InputError(f"no bundle: set bundle in [station] (no update has put one at {slot})")
    return slot.resolve()  # an update may turn the link while we read


def _without_thresholds(overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in overrides.items() if name != "thresholds"}


def _refuse_secrets(content: Mapping[str, Any]) -> None:
    for name, key, value in _leaves(content, ""):
        if _SECRET_KEY.fullmatch(key):
            raise InputError(
                f"{name} is a secret, and secrets do not stand in the settings; put it into a file that only the "
                f"service may read and give that as {_file_key(name)}, or set {_variable(name)} in the environment"
            )
        if isinstance(value, str) and _holds_secret(value):
            raise InputError(
                f"{name} holds a user name, password or token; give the user as username and the password in a file as "
                "password_file or in the environment, or put the whole address into a file and give that as url_file"
            )


def _leaves(value: object, name: str) -> Iterator[tuple[str, str, object]]:
    """(dotted name, last key, value) of everything in the document."""
    entries: Iterator[tuple[str, str, object]]
    if isinstance(value, Mapping):
        entries = ((f"{name}.{key}" if name else key, key, entry) for key, entry in value.items())
    elif isinstance(value, list):
        entries = ((f"{name}[{place}]", "", entry) for place, entry in enumerate(value))
    else:
        return
    for path, key, entry in entries:
        yield path, key, entry
        yield from _leaves(entry, path)


def _holds_secret(text: str) -> bool:
    authority = re.match(r"\w+://([^/?#]*)", text)
    return bool((authority and "@" in authority[1]) or ("://" in text and _SECRET_IN_QUERY.search(text)))


def _file_key(name: str) -> str:
    if name.startswith("webhook"):
        return "webhook.secret_file"
    return name.rpartition(".")[0] + ".password_file" if "." in name else "password_file"


def _variable(name: str) -> str:
    section = re.split(r"[.\[]", name)[0]
    known = {"mqtt": "RAREFAULT_MQTT_PASSWORD", "webhook": "RAREFAULT_WEBHOOK_SECRET"}
    return known.get(section, "RAREFAULT_CAMERA_<NAME>_PASSWORD")


def _anchored(section: T, folder: Path) -> T:
    """The same settings with every relative path below `folder`."""

    def moved(value: Any) -> Any:
        if isinstance(value, Path):
            return folder / value
        if isinstance(value, tuple):
            return tuple(moved(entry) for entry in value)
        return _anchored(value, folder) if dataclasses.is_dataclass(value) else value

    values = {item.name: moved(getattr(section, item.name)) for item in dataclasses.fields(section)}  # type: ignore[arg-type]
    return dataclasses.replace(section, **values)  # type: ignore[type-var]


def _check_pictures(names: tuple[str, ...]) -> None:
    if strange := [name for name in names if name not in PICTURES]:
        raise InputError(f"inline names {strange[0]!r}, expected some of {', '.join(PICTURES)}")


def _check_web_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise InputError("the webhook's url is no web address; expected https://host/path")

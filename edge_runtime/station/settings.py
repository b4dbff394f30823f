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
from urllib.parse import quote, urlsplit, urlunsplit

from ..alerts.votes import CameraRule, VoteRule, camera_rule
from ..bundle.decision import DecisionRule
from ..bundle.errors import InputError, UnavailableError
from ..settings_reader import build, nearest, read_toml

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # it becomes a part of topics and file names
PICTURES = ("frame", "heatmap")
CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
CURRENT_SLOT = Path("slots") / "current"  # below state_dir
MAX_SECRET = 4096  # bytes

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
        _check_name("the station", self.name)
        _at_least("threads", self.threads, 0)
        _at_least("test_alarm_hours", self.test_alarm_hours, 0)
        if not CLOCK_TIME.fullmatch(self.report_at):
            raise InputError(f"report_at is {self.report_at!r}, expected a local time like 07:00")
        _at_least("picture_bytes", self.picture_bytes, 0)
        _at_least("heartbeat_seconds", self.heartbeat_seconds, 1)

    @property
    def cores(self) -> int:
        """Threads of one inference."""
        return self.threads or max(1, len(os.sched_getaffinity(0)) - 1)


@dataclass(frozen=True)
class Camera:
    """[[camera]]. `url` is rtsp://, http://, `usb:0`, a video file or a folder; `url_file` holds one that is secret.

    `regions` are (x, y, width, height), each a fraction of the frame; none means the whole frame. Rates are frames per
    second: `floor_rate` always, up to `top_rate` while something changes. Time-outs are seconds.
    `frozen_seconds` of identical frames mean a frozen camera; set it above the key frame interval, 0 turns it off.
    `infrared` says whether the model may judge infrared pictures of a colour camera.
    """

    name: str
    url: str = ""
    url_file: Path | None = None
    username: str = ""
    password_file: Path | None = None
    regions: tuple[tuple[float, float, float, float], ...] = ()
    floor_rate: float = 0.5
    top_rate: float = 5.0
    open_timeout: float = 8.0
    read_timeout: float = 5.0
    frozen_seconds: float = 10.0
    infrared: bool = True

    def __post_init__(self) -> None:
        _check_name("a camera", self.name)
        _one_of("url", self.url, "url_file", self.url_file)
        if self.username and self.url and "://" not in self.url:
            raise InputError(f"username is set, but {self.url} asks for none; remove username")
        for x, y, width, height in self.regions:
            if not (x >= 0 and y >= 0 and 0 < width <= 1 - x and 0 < height <= 1 - y):
                raise InputError(
                    f"the region {[x, y, width, height]} leaves the picture; "
                    "expected x, y, width, height as fractions of the frame, from 0 to 1"
                )
        if not 0 < self.floor_rate <= self.top_rate:
            raise InputError(
                f"floor_rate is {self.floor_rate} and top_rate {self.top_rate}, expected 0 < floor_rate <= top_rate"
            )
        _at_least("open_timeout", self.open_timeout, 0.1)
        _at_least("read_timeout", self.read_timeout, 0.1)
        _at_least("frozen_seconds", self.frozen_seconds, 0)

    @property
    def password_variable(self) -> str:
        """The environment variable that may hold the password."""
        return f"RAREFAULT_CAMERA_{_plain(self.name).upper()}_PASSWORD"

    def address(self) -> str:
        """The url with user name and password, for the one who opens the camera; never log it."""
        url = _read_secret(self.url_file) if self.url_file else self.url
        if not self.username:
            return url
        password = _secret(self.password_file, self.password_variable)
        user = quote(self.username, safe="") + (f":{quote(password, safe='')}" if password else "")
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))


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
        _at_least("timeout", self.timeout, 0.1)
        _check_pictures(self.inline)

    def password(self) -> str | None:
        """From `password_file`, else from RAREFAULT_MQTT_PASSWORD. UnavailableError where the file cannot be read."""
        return _secret(self.password_file, "RAREFAULT_MQTT_PASSWORD")


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
        _one_of("url", self.url, "url_file", self.url_file)
        if self.url:
            _check_web_address(self.url)
        _at_least("timeout", self.timeout, 0.1)
        _check_pictures(self.inline)

    def address(self) -> str:
        """The url; never log it where it came from `url_file`. UnavailableError where that cannot be read."""
        if not self.url_file:
            return self.url
        url = _read_secret(self.url_file)
        _check_web_address(url)
        return url

    def secret(self) -> str:
        """The key of the signatures. UnavailableError where there is none."""
        secret = _secret(self.secret_file, "RAREFAULT_WEBHOOK_SECRET")
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
        _at_least("bytes", self.bytes, 0)
        _at_least("interval", self.interval, 0)
        for name in ("uncertain_margin", "rare_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected 0 to 1")


@dataclass(frozen=True)
class StationSettings:
    """The whole of `station.toml`."""

    station: StationSection
    camera: tuple[Camera, ...] = ()
    decision: DecisionSection = field(default_factory=DecisionSection)
    mqtt: MqttSection | None = None
    webhook: WebhookSection | None = None
    http: HttpSection = field(default_factory=HttpSection)
    samples: SamplesSection = field(default_factory=SamplesSection)

    def __post_init__(self) -> None:
        names = [camera.name for camera in self.camera]
        taken: dict[str, str] = {}
        for name in names:
            if (plain := _plain(name)) in taken:
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


def _secret(path: Path | None, variable: str) -> str | None:
    if path is not None:
        return _read_secret(path)
    return os.environ.get(variable) or None


def _read_secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SECRET + 1)
        text = data.decode().strip("\r\n")
    except OSError as error:
        raise UnavailableError(f"the secret in {path} cannot be read ({error.strerror}); check the file") from None
    except UnicodeDecodeError:
        raise UnavailableError(f"the secret in {path} is no UTF-8 text; write it again") from None
    if not text or len(data) > MAX_SECRET:
        raise UnavailableError(
            f"the secret in {path} has {len(data)} bytes, expected 1 to {MAX_SECRET}; write it again"
        )
    return text


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


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def _check_name(what: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise InputError(
            f"{what} is called {name!r}; a name has 1 to 64 letters, digits, dots, dashes or underscores "
            "and begins with a letter or a digit"
        )


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


def _one_of(first: str, one: object, second: str, other: object) -> None:
    if one and other:
        raise InputError(f"{first} and {second} are both set; remove one of them")
    if not one and not other:
        raise InputError(f"neither {first} nor {second} is set; set one of them")


def _at_least(name: str, value: float, low: float) -> None:
    if value < low:
        raise InputError(f"{name} is {value}, expected {low} or more")

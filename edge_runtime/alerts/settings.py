"""Settings of alarms: how votes decide, which sinks get events, and which samples are kept."""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..bundle.decision import Rule
from ..bundle.errors import InputError, UnavailableError
from ..secret_files import find_secret, read_secret, tls_context
from ..settings_reader import check_one_of, nearest, number
from .votes import CameraRule, VoteRule, camera_rule

if TYPE_CHECKING:
    import ssl

PICTURES = ("frame", "heatmap")


@dataclass(frozen=True)
class Overrides:
    """What a camera decides otherwise than the bundle and the default votes say, by name."""

    needed: int | None = None
    window: int | None = None
    release: int | None = None
    cooldown: float | None = None  # seconds
    max_age: float | None = None  # seconds
    thresholds: dict[str, float] = field(default_factory=dict)

    def votes(self) -> dict[str, Any]:
        """Return those fields of `VoteRule` that were set."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(VoteRule)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class DecisionSection(Overrides):
    """[decision] for all cameras, and [decision.camera.NAME] for one of them."""

    camera: dict[str, Overrides] = field(default_factory=dict)

    def rule(self, camera: str, bundle: Rule) -> CameraRule:
        """Return how `camera` decides with this bundle. InputError where a threshold is for no fault of the bundle."""
        return camera_rule(bundle, self._vote_rule(camera), {**self.thresholds, **self._own(camera).thresholds})

    def check(self, cameras: Iterable[str]) -> None:
        """Raise InputError where a section is for no camera of the station, or votes contradict each other."""
        names = list(cameras)
        for name in self.camera:
            if name not in names:
                raise InputError(f"decision.camera.{name} is no camera of this station{nearest(name, names)}")
        for name in names:
            try:
                self._vote_rule(name)
            except InputError as error:
                raise InputError(f"decision of {name}: {error}") from None

    def _own(self, camera: str) -> Overrides:
        return self.camera.get(camera, Overrides())

    def _vote_rule(self, camera: str) -> VoteRule:
        return VoteRule(**{**self.votes(), **self._own(camera).votes()})


@dataclass(frozen=True)
class MqttSection:
    """[mqtt]. `inline` names the pictures that travel inside an event; the others are references."""

    host: str
    port: int = number(0, low=0, high=65535)  # 0: 8883 with TLS, else 1883
    tls: bool = True
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_passphrase_file: Path | None = None
    username: str = ""
    password_file: Path | None = None
    client_id: str = ""  # empty: rarefault-<station>
    keepalive: int = number(30, low=5, high=3600)  # seconds
    timeout: float = number(20.0, low=0.1)  # seconds, for a connection and for an acknowledgement
    inline: tuple[str, ...] = ("heatmap",)
    need_subscriber: bool = True  # an alarm that the broker took while nobody was subscribed is sent again

    def __post_init__(self) -> None:
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise InputError("tls is false, but ca_file, cert_file or key_file is set; set tls = true or remove them")
        if self.key_file and not self.cert_file:
            raise InputError("key_file is set, but cert_file is not; set the certificate that belongs to the key")
        _check_host(self.host)
        _check_pictures(self.inline)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the broker; an IPv6 address without brackets."""
        return self.host.strip("[]"), self.port or (8883 if self.tls else 1883)

    def tls_context(self) -> "ssl.SSLContext":
        """Return the TLS context; UnavailableError names the setting whose file cannot be used."""
        return tls_context(self.ca_file, self.cert_file, self.key_file, self._passphrase)

    def _passphrase(self) -> str | None:
        return read_secret(self.key_passphrase_file, "key_passphrase_file") if self.key_passphrase_file else None

    def password(self) -> str | None:
        """Return the password from `password_file` or RAREFAULT_MQTT_PASSWORD; UnavailableError as in `read_secret`."""
        return find_secret(self.password_file, "RAREFAULT_MQTT_PASSWORD")


@dataclass(frozen=True)
class WebhookSection:
    """[webhook]. `url_file` holds a url that is itself a secret."""

    url: str = ""
    url_file: Path | None = None
    secret_file: Path | None = None
    ca_file: Path | None = None
    timeout: float = number(20.0, low=0.1)  # seconds
    inline: tuple[str, ...] = ("heatmap",)

    def __post_init__(self) -> None:
        check_one_of("url", self.url, "url_file", self.url_file)
        if self.url:
            _check_web_address(self.url)
        _check_pictures(self.inline)

    def address(self) -> str:
        """Return the url; never log one that came from `url_file`. UnavailableError as in `read_secret`."""
        if not self.url_file:
            return self.url
        url = read_secret(self.url_file, "url_file")
        _check_web_address(url)
        return url

    def tls_context(self) -> "ssl.SSLContext":
        """Return the TLS context; UnavailableError names the setting whose file cannot be used."""
        return tls_context(self.ca_file)

    def secret(self) -> str:
        """Return the key of the signatures. UnavailableError where there is none."""
        secret = find_secret(self.secret_file, "RAREFAULT_WEBHOOK_SECRET", "secret_file")
        if secret is None:
            raise UnavailableError(
                "the webhook has no secret to sign with; set secret_file in [webhook] or RAREFAULT_WEBHOOK_SECRET"
            )
        return secret


@dataclass(frozen=True)
class SamplesSection:
    """[samples]: hard examples for the central team, oldest dropped first beyond `bytes`."""

    bytes: int = number(1 << 30, low=0)
    send: bool = False
    uncertain_margin: float = number(0.15, low=0, high=1)  # probability: how near to a threshold is uncertain
    rare_share: float = number(0.02, low=0, high=1)  # of a camera's frames: a label seen less often is rare
    interval: float = number(300.0, low=0)  # seconds between two samples of one camera for one reason


def _check_host(host: str) -> None:
    """Refuse an address in place of a host: what its scheme, port and path mean stands in settings of their own."""
    scheme = host.partition("://")[0].lower() if "://" in host else ""
    if scheme in ("ws", "wss"):
        raise InputError(
            "host is an address of MQTT over WebSocket, which is not spoken here; give a broker's plain port"
        )
    bare = host.partition("://")[2] or host
    if scheme or "/" in bare or re.fullmatch(r"(\[.*\]|[^:]*):\d+", bare):
        tls = {"mqtt": " and tls = false", "tcp": " and tls = false", "mqtts": " and tls = true"}.get(scheme, "")
        raise InputError(f"host is an address, expected a name or number alone; give its port as port{tls}")


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

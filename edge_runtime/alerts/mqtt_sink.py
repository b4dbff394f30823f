"""Events and states over MQTT 5. Needs the extra `station`.

Topics below `rarefault/<station>`: `status` (online|offline, retained, the last will too), `heartbeat`, `update`,
`feedback`, `<camera>/status` (JSON with status and cause, retained), `<camera>/event`, `<camera>/sample`.

Every connection is a client object of its own: paho would otherwise keep and repeat messages by its own rules, and the
outbox is the only memory we want.
"""

import contextlib
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ..bundle.errors import UnavailableError
from ..causes import Cause, cause_of_error
from .events import ALARM, FEEDBACK, HEARTBEAT, SAMPLE, UPDATE
from .outbox import Entry
from .settings import MqttSection
from .sink import TAKEN, Answer, Verdict, answer_seconds, payload

ONLINE, OFFLINE = "online", "offline"
TOPIC_ENDS = {ALARM: "event", SAMPLE: "sample", HEARTBEAT: "heartbeat", UPDATE: "update", FEEDBACK: "feedback"}

LEAVE_SECONDS = 1.5
HEADROOM = 1024  # bytes of a packet that are not its payload
TRIES_WITH_PICTURES = 2  # without an acknowledgement; then the event goes without them
TRIES_WITH_AN_ARCHIVE = 4  # likewise; then it is parked, since it is nothing without

# Reason codes of MQTT 5, section 2.4. Below 0x80 all are successes.
NOBODY, UNSPECIFIED, IMPLEMENTATION, NOT_AUTHORISED, TOO_LARGE, QUOTA = 0x10, 0x80, 0x83, 0x87, 0x95, 0x97

OLDER = (0x84, 0x01)  # unsupported protocol version, as MQTT 5 and as MQTT 3.1.1 say it
NEEDED = "MQTT 5, which acknowledges whether anybody heard an alarm (Mosquitto does from 1.6 on)"

REMEDIES = {
    # Where the settings have other names than a camera's.
    Cause.CLOSED: "check the port, and whether it wants tls = false",
    Cause.NO_TLS: "this port does not speak TLS; set tls = false, or the port for TLS",
    Cause.CERTIFICATE_UNKNOWN: "nobody whom this device trusts vouches for its certificate; set ca_file in [mqtt]",
    Cause.CERTIFICATE_NAME: "set host to the name in its certificate, or renew that (with a subjectAltName)",
}

log = logging.getLogger(__name__)


class MqttSink:
    """Sends events and states to one broker."""

    name = "mqtt"

    def __init__(self, station: str, settings: MqttSection, cameras: Collection[str] = ()) -> None:
        """`cameras` are those of the settings: what the broker retains of others is cleared once."""
        self._station, self._settings = station, settings
        self._link: _Link | None = None
        self._names, self._cleared = frozenset(cameras), False
        self._cameras: dict[str, bytes] = {}  # the newest status of each
        self._lock = threading.Lock()
        self._closed = False
        self._tries: dict[str, int] = {}  # by event: with pictures, without an acknowledgement

    def open(self) -> None:
        """Connect where no connection stands, and publish the states. UnavailableError says why not."""
        if self._link is not None and self._link.ready:
            return
        self._drop()
        link = _Link(self._topic("status"), self._settings, self._client_id)
        with self._lock:
            if self._closed:
                raise UnavailableError("the broker is left: the station stops")
            self._link = link
        link.connect()
        if not self._cleared:
            self._cleared = True  # tried once: there are brokers that hang up on whoever may not subscribe
            link.clear_states(self._topic("+", "status"), {self._topic(camera, "status") for camera in self._names})
        link.publish_state(self._topic("status"), ONLINE.encode())
        with self._lock:
            for camera, status in self._cameras.items():
                link.publish_state(self._topic(camera, "status"), status)

    def check(self) -> None:
        """Connect beside a station that may be running, publish nothing, and leave. UnavailableError says why not."""
        link = _Link(self._topic("status"), self._settings, f"{self._client_id}-check")
        try:
            link.connect()
            link.leave()
        finally:
            link.drop()

    def set_camera(self, camera: str, status: Mapping[str, str]) -> None:
        """Publish the status now, and again at each connection."""
        document = json.dumps(status).encode()
        with self._lock:
            if self._cameras.get(camera) == document:
                return
            self._cameras[camera] = document
            if self._link is not None and self._link.ready:
                self._link.publish_state(self._topic(camera, "status"), document)

    def send(self, entry: Entry) -> Answer:
        """Publish at QoS 1 and wait for the broker's acknowledgement; only a successful one counts."""
        link = self._link
        if link is None or not link.ready:
            return Answer(Verdict.UNREACHABLE, (link and link.lost) or "the broker is not connected")
        inline = self._settings.inline if self._tries.get(entry.id, 0) < TRIES_WITH_PICTURES else ()
        data = payload(entry, inline, link.max_payload)
        if link.max_payload is not None and len(data) > link.max_payload:
            return Answer(Verdict.REFUSED, f"the event has {len(data)} bytes, the broker takes {link.max_payload}")
        code = link.publish_and_wait(self._event_topic(entry), data)
        if code is None or (code == TOO_LARGE and inline):
            tries = self._tries[entry.id] = TRIES_WITH_PICTURES if code else self._tries.get(entry.id, 0) + 1
            if entry.kind == FEEDBACK and tries >= TRIES_WITH_AN_ARCHIVE:
                self._tries.pop(entry.id)
                return Answer(Verdict.REFUSED, f"the broker has not taken {len(data)} bytes in {tries} tries")
            return Answer(Verdict.UNREACHABLE, link.lost or "the broker takes no event of this size")
        self._tries.pop(entry.id, None)
        return self._broker_answer(entry, code)

    def close(self) -> None:
        """Publish the offline states, so that no receiver has to wait for the last will, and disconnect."""
        with self._lock:
            self._closed = True
            link, cameras = self._link, list(self._cameras)
        if link is not None and link.ready:
            gone = json.dumps({"status": OFFLINE, "cause": "station stopped"}).encode()
            for camera in cameras:
                link.publish_state(self._topic(camera, "status"), gone)
            link.leave_offline()
        self._drop()

    def _broker_answer(self, entry: Entry, code: int) -> Answer:
        topic = self._event_topic(entry)
        if code == NOBODY and entry.kind == ALARM and self._settings.need_subscriber:
            return Answer(Verdict.HELD, f"nobody is subscribed to {topic}; subscribe, or set need_subscriber = false")
        if code < UNSPECIFIED:
            return TAKEN
        if code == NOT_AUTHORISED:
            return Answer(Verdict.HELD, f"the broker does not allow {topic}; check its access list for this station")
        if code in (UNSPECIFIED, IMPLEMENTATION):
            return Answer(Verdict.HELD, f"the broker refuses {topic} with reason 0x{code:02x}; see its log")
        if code == QUOTA:
            return Answer(Verdict.UNREACHABLE, "the broker says that a quota is used up; see its log")
        return Answer(Verdict.REFUSED, f"the broker refused it with reason 0x{code:02x}")

    def _event_topic(self, entry: Entry) -> str:
        end = TOPIC_ENDS[entry.kind]
        return self._topic(entry.camera, end) if entry.camera else self._topic(end)

    def _topic(self, *parts: str) -> str:
        return "/".join(("rarefault", self._station, *parts))

    @property
    def _client_id(self) -> str:
        return self._settings.client_id or f"rarefault-{self._station}"

    def _drop(self) -> None:
        with self._lock:
            link, self._link = self._link, None
        if link is not None:
            link.drop()


class _Link:
    """One connection to the broker; a new one is made after it is lost."""

    def __init__(self, status_topic: str, settings: MqttSection, client_id: str) -> None:
        self._status_topic, self._settings = status_topic, settings
        self._changed = threading.Condition()
        self._acknowledged: dict[int, int] = {}  # packet id -> reason code
        self._greeted: int | None = None  # the reason code of the broker's CONNACK
        self._greeting = ""
        self._hung_up = False
        self._farewell: int | None = None  # that of its DISCONNECT
        self.lost = ""  # why the connection is no more
        self.max_payload: int | None = None  # bytes
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        self._client.connect_timeout = settings.timeout
        self._client.will_set(status_topic, OFFLINE.encode(), qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish

    @property
    def ready(self) -> bool:
        """Whether the link is connected, as far as one knows."""
        return self._greeted == 0 and not self.lost

    def connect(self) -> None:
        """Connect. UnavailableError names host and port, and no secret."""
        self._prepare()
        host, port = self._settings.address
        try:
            self._client.connect(host, port, self._settings.keepalive, clean_start=True)
        except (OSError, ValueError) as error:
            cause = cause_of_error(error)
            remedy = REMEDIES.get(cause, cause.advice)
            self.lost = f"the broker {host}:{port} cannot be reached ({_words(error)}); {remedy}"
            raise UnavailableError(self.lost) from None
        self._client.loop_start()
        self._wait(lambda: self._greeted is not None, self._settings.timeout)
        if self._greeted != 0:
            self.lost = f"the broker {host}:{port} accepts no connection ({self._refusal()})"
            raise UnavailableError(self.lost)

    def clear_states(self, topics: str, kept: Collection[str]) -> None:
        """Ask for what the broker retains under `topics`, and clear all of it but `kept`, in paho's thread."""

        def clear(client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
            if message.retain and message.payload and message.topic not in kept:
                log.info("%s is cleared: the settings have no such camera", message.topic)
                client.publish(message.topic, b"", qos=1, retain=True)

        self._client.on_message = clear
        self._client.subscribe(topics, options=SubscribeOptions(qos=1, noLocal=True))

    def _refusal(self) -> str:
        """Return why the broker does not greet; what it said of it, or what that silence may mean."""
        if self._greeted is None:
            said = "it closes the connection without an answer" if self._hung_up else "it does not answer"
            tls = "tls = false" if self._settings.tls else "tls = true"
            return f"{said}; check the port and whether it wants {tls}, and that it speaks {NEEDED}"
        if self._greeted in OLDER:
            return f"it knows only older versions of MQTT; this station needs {NEEDED}"
        return self._greeting

    def publish_state(self, topic: str, data: bytes) -> None:
        """Publish at QoS 1 what the broker retains, without waiting."""
        self._client.publish(topic, data, qos=1, retain=True)

    def publish_and_wait(self, topic: str, data: bytes) -> int | None:
        """Return the reason code of the PUBACK, TOO_LARGE where the broker left because of it, None where none came."""
        properties = Properties(PacketTypes.PUBLISH)
        properties.PayloadFormatIndicator, properties.ContentType = 1, "application/json"
        self._acknowledged.clear()
        number = self._client.publish(topic, data, qos=1, properties=properties).mid
        seconds = answer_seconds(self._settings.timeout, len(data))
        if self._wait(lambda: number in self._acknowledged, seconds):
            return self._acknowledged[number]
        self.lost = self.lost or f"the broker acknowledged nothing within {seconds:.0f} s"
        return TOO_LARGE if self._farewell == TOO_LARGE else None

    def leave_offline(self) -> None:
        """Publish offline, disconnect, and wait a little for both."""
        number = self._client.publish(self._status_topic, OFFLINE.encode(), qos=1, retain=True).mid
        self._wait(lambda: number in self._acknowledged, LEAVE_SECONDS / 2)
        self.leave()

    def leave(self) -> None:
        """Disconnect so that the broker does not publish the last will, and wait a little for that."""
        self._client.disconnect()
        self._wait(lambda: False, LEAVE_SECONDS / 2)

    def drop(self) -> None:
        """Shut the socket whatever it is doing; that ends paho's thread, and the waiting of another one."""
        self._lose("the connection was closed")
        for callback in ("on_connect", "on_disconnect", "on_publish", "on_message"):  # else a cycle keeps both alive
            setattr(self._client, callback, None)
        with contextlib.suppress(OSError, AttributeError):  # no socket, or none any more
            self._client.socket().shutdown(socket.SHUT_RDWR)

    def _prepare(self) -> None:
        if self._settings.username:
            self._client.username_pw_set(self._settings.username, self._settings.password())
        if self._settings.tls:
            self._client.tls_set_context(self._settings.tls_context())

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait; return whether `condition` came true before the time was over or the connection lost."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not condition() and not self.lost and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return condition()

    def _lose(self, reason: str) -> None:
        with self._changed:
            self.lost = self.lost or reason
            self._changed.notify_all()

    def _on_connect(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        with self._changed:
            self._greeted, self._greeting = code.value, str(code)
            limit = getattr(properties, "MaximumPacketSize", None)
            self.max_payload = None if limit is None else limit - HEADROOM
            self._changed.notify_all()

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, code: ReasonCode, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._farewell = code.value
        self._hung_up = True
        host, port = self._settings.address
        self._lose(f"the broker {host}:{port} went away ({code})")

    def _on_publish(self, _client: Any, _data: Any, number: int, code: ReasonCode, _properties: Any) -> None:
        with self._changed:
            self._acknowledged[number] = code.value
            self._changed.notify_all()
        if code.is_failure:
            log.debug("the broker answered packet %d with %s", number, code)


def _words(error: Exception) -> str:
    """Return what went wrong, without numbers of the operating system and places in the source of a library."""
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return re.sub(r"^\[SSL.*?\] | \(_ssl\.c:\d+\)$", "", text)

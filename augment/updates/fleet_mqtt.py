"""Stations' signed reports from an MQTT 5 broker, out of their heartbeats."""

import contextlib
import json
import queue
import time
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import urlsplit

from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.secret_files import find_secret, tls_context

TOPIC = "rarefault/+/heartbeat"
MOST_MESSAGES = 1000  # that wait to be read,
MOST_BYTES = 1 << 18  # each at most of this length; anybody on the broker may send more and longer ones


def listen(url: str, seconds: float, wanted: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the report of each heartbeat until every station of `wanted` was heard, at most for so many `seconds`.

    `url` is mqtt://HOST:PORT or mqtts://; a user stands before an @, the password in RAREFAULT_MQTT_PASSWORD.
    UnavailableError where the broker cannot be reached or refuses.
    """
    try:
        from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, CallbackAPIVersion, Client, MQTTv5
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"MQTT needs the package {error.name}, which is not installed; pip install paho-mqtt"
        ) from error
    place = urlsplit(url)
    if place.scheme not in ("mqtt", "mqtts") or not place.hostname or place.password:
        raise InputError(
            "the broker's address is of another kind, expected mqtt[s]://[USER@]HOST[:PORT] without a password"
        )
    heard: queue.Queue[Any] = queue.Queue(MOST_MESSAGES)
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    if place.username:
        client.username_pw_set(place.username, find_secret(None, "RAREFAULT_MQTT_PASSWORD"))
    if place.scheme == "mqtts":
        client.tls_set_context(tls_context())
    client.on_message = lambda _client, _data, message: _keep(message.payload, heard)
    client.on_connect = lambda _client, _data, _flags, code, _properties: _connected(client, code, heard)
    try:
        port = place.port or (8883 if place.scheme == "mqtts" else 1883)
        client.connect(place.hostname, port, clean_start=MQTT_CLEAN_START_FIRST_ONLY)
    except OSError as error:
        raise UnavailableError(
            f"the broker at {place.hostname}, port {port}, cannot be reached ({error}); check address and link"
        ) from error
    client.loop_start()
    try:
        yield from _reports(heard, time.monotonic() + seconds, set(wanted))
    finally:
        client.disconnect()
        client.loop_stop()


def _keep(payload: bytes, heard: "queue.Queue[Any]") -> None:
    if len(payload) <= MOST_BYTES:
        with contextlib.suppress(queue.Full):
            heard.put_nowait(payload)


def _connected(client: Any, code: Any, heard: "queue.Queue[Any]") -> None:
    if code.is_failure:
        heard.put(UnavailableError(f"the broker refuses us ({code}); check user, password and its access list"))
    else:
        client.subscribe(TOPIC, qos=1)


def _reports(heard: "queue.Queue[Any]", deadline: float, wanted: set[str]) -> Iterator[dict[str, Any]]:
    missing = set(wanted)
    while (left := deadline - time.monotonic()) > 0 and (missing or not wanted):
        try:
            message = heard.get(timeout=left)
        except queue.Empty:
            return
        if isinstance(message, UnavailableError):
            raise message
        if (report := _report(message)) is not None:
            missing.discard(str(report.get("station")))
            yield report


def _report(payload: bytes) -> dict[str, Any] | None:
    """Return the report in a heartbeat; None where it has none, as those of stations before 0.5 have not."""
    try:
        report = json.loads(payload)["state"]["report"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return report if isinstance(report, dict) else None

"""MQTT against a real broker that goes away, refuses and lies in wait; and a sender that is killed."""

import base64
import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.sample_events import delivery_states, record, wait_until
from tests.support.thin_link import thin_link

pytest.importorskip("paho.mqtt", reason="the extra `station` is not installed")

from edge_runtime.alerts.events import FEEDBACK, HEARTBEAT, SAMPLE, UPDATE, camera_status
from edge_runtime.alerts.mqtt_sink import MqttSink
from edge_runtime.alerts.outbox import DATABASE, Outbox
from edge_runtime.alerts.outbox_spool import OutboxSpool
from edge_runtime.alerts.sender import Sender
from edge_runtime.alerts.settings import MqttSection
from edge_runtime.alerts.sink import Verdict
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.causes import Cause
from edge_runtime.delays import send_delay
from tests.support import ROOT, mosquitto_broker
from tests.support.mosquitto_broker import Broker, Subscriber, numbers

pytestmark = pytest.mark.skipif(mosquitto_broker.MOSQUITTO is None, reason="mosquitto is not installed")

SENDER = [sys.executable, "-m", "tests.support.sender_child"]
QUICK = partial(send_delay, first=0.05, cap=0.2)


class Site:
    """A broker, a subscriber, and a station's outbox with its sender."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outbox = Outbox(folder / "state", ["mqtt"])
        self._ends: list[Callable[[], None]] = [self.outbox.close]

    def broker(self, *lines: str) -> Broker:
        self.the_broker = Broker(self.folder / "broker", *lines).start()
        self._ends.append(self.the_broker.kill)
        return self.the_broker

    def subscriber(self, **login: str) -> Subscriber:
        made = Subscriber(self.the_broker.port, **login)
        self._ends.append(made.close)
        return made

    def sink(self, **settings: Any) -> MqttSink:
        port = settings.pop("port", None) or self.the_broker.port
        made = MqttSink("north-7", MqttSection("127.0.0.1", port, **({"tls": False, "timeout": 5.0} | settings)))
        self._ends.append(made.close)
        return made

    def sender(self, sink: MqttSink) -> tuple[Sender, OutboxSpool]:
        made = Sender(self.outbox, sink, QUICK, QUICK)
        self._ends.append(lambda: stop(made))
        made.start()
        return made, OutboxSpool(self.outbox, on_commit=made.wake)

    def end(self) -> None:
        for end in reversed(self._ends):
            end()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.end()


def stop(sender: Sender) -> None:
    sender.begin_stop()
    sender.join(4)


def test_an_event_arrives_with_its_heat_map_and_counts_when_it_is_acknowledged(site):
    site.broker()
    subscriber = site.subscriber()
    sender, spool = site.sender(site.sink(inline=("heatmap",)))
    made = replace(record(0), pictures={"frame": b"clean", "heatmap": b"warm"})
    spool.record(made)
    wait_until(lambda: delivery_states(site.outbox, "mqtt") == {"delivered": 1})
    wait_until(subscriber.events)
    (event,) = subscriber.events()
    assert subscriber.heard[-1][0] == "rarefault/north-7/yard/event"
    assert {key: event[key] for key in made.document} == made.document
    assert base64.b64decode(event["pictures"]["heatmap"]["data"]) == b"warm"
    assert event["pictures"]["frame"] == {
        "file": f"evidence/{made.id}.frame.jpg",
        "bytes": 5,
        "sha256": "3b066804f6d1d077173cfe4d06002e6a61e6f21c2b2e648417962115f1afcd8e",
    }
    assert sender.trouble == ""


def test_updates_heartbeats_and_samples_have_topics_of_their_own(site):
    site.broker()
    subscriber = site.subscriber()
    _, spool = site.sender(site.sink())
    spool.record(record(1, kind=HEARTBEAT))
    spool.record(record(2, kind=SAMPLE, size=10))
    spool.record(record(3, kind=UPDATE))
    wait_until(lambda: all(subscriber.events(end) for end in ("/heartbeat", "/sample", "/update")))
    assert {topic for topic, _, _ in subscriber.heard} >= {
        "rarefault/north-7/heartbeat",
        "rarefault/north-7/update",
        "rarefault/north-7/yard/sample",
    }


def test_the_station_is_online_until_it_closes_or_is_lost(site):
    site.broker()
    for end in ("close", "lose"):
        sink = site.sink()
        sink.open()
        assert retained(site, "rarefault/north-7/status") == b"online"
        sink.close() if end == "close" else sink._link.drop()
        assert retained(site, "rarefault/north-7/status", b"offline") == b"offline"


def retained(site: Site, topic: str, wanted: bytes | None = None) -> bytes | None:
    """What a newcomer is told; where `wanted` is given, after at most ten seconds of waiting for it."""
    newcomer = site.subscriber()
    wait_until(lambda: newcomer.last(topic) is not None if wanted is None else newcomer.last(topic) == wanted)
    return newcomer.last(topic)


def test_cameras_are_retained_told_on_change_and_again_after_a_broker_without_memory(site):
    broker = site.broker()
    sink = site.sink()
    sink.set_camera("yard", camera_status(None))
    _, _ = site.sender(sink)
    topic = "rarefault/north-7/yard/status"
    assert json.loads(retained(site, topic)) == {"status": "online", "cause": ""}
    sink.set_camera("yard", camera_status(Cause.FROZEN))
    frozen = b'{"status": "not_evaluated", "cause": "frozen"}'
    assert retained(site, topic, frozen) == frozen
    broker.kill()
    broker.start()
    assert retained(site, topic, frozen) == frozen
    sink.close()
    assert json.loads(retained(site, topic, b'{"status": "offline", "cause": "station stopped"}'))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_nothing_is_lost_or_overtaken_while_the_broker_comes_and_goes(site, end):
    broker = site.broker()
    subscriber = site.subscriber()
    _, spool = site.sender(site.sink())
    number = 0
    for _ in range(3):
        for _ in range(20):
            spool.record(record(number, f"camera-{number % 2}", size=5000))
            number += 1
        wait_until(lambda: subscriber.events())
        getattr(broker, end)()
        spool.record(record(number, f"camera-{number % 2}"))
        number += 1
        broker.start()
    wait_until(lambda: site.outbox.pending("mqtt") == 0)
    wait_until(lambda: len({event["id"] for event in subscriber.events()}) == number)
    heard = numbers(subscriber.events())
    assert heard == {"camera-0": list(range(0, number, 2)), "camera-1": list(range(1, number, 2))}


def test_a_camera_that_the_access_list_refuses_waits_in_order_and_holds_nobody_up(site, tmp_path):
    access = tmp_path / "acl"
    rules = "topic read rarefault/#\ntopic write rarefault/north-7/status\ntopic write rarefault/north-7/b/#\n"
    access.write_text(rules)
    access.chmod(0o600)
    broker = site.broker(f"acl_file {access}")
    subscriber = site.subscriber()
    sender, spool = site.sender(site.sink())
    for number in range(6):
        spool.record(record(number, "ab"[number % 2]))
    wait_until(lambda: delivery_states(site.outbox, "mqtt")["delivered"] == 3)
    wait_until(lambda: numbers(subscriber.events()) == {"b": [1, 3, 5]})
    wait_until(lambda: sender.trouble)
    assert sender.trouble == (
        "the broker does not allow rarefault/north-7/a/event; check its access list for this station"
    )
    access.write_text(rules + "topic write rarefault/north-7/a/#\n")
    broker.signal(signal.SIGHUP)
    wait_until(lambda: site.outbox.pending("mqtt") == 0)
    wait_until(lambda: numbers(subscriber.events()) == {"b": [1, 3, 5], "a": [0, 2, 4]})
    wait_until(lambda: sender.trouble == "")


def test_an_alarm_is_not_done_before_somebody_listens(site):
    site.broker()
    sender, spool = site.sender(site.sink())
    spool.record(record(0))
    wait_until(lambda: "nobody is subscribed" in sender.trouble)
    assert site.outbox.pending("mqtt") == 1
    subscriber = site.subscriber()
    wait_until(lambda: site.outbox.pending("mqtt") == 0)
    wait_until(subscriber.events)


def test_where_nobody_needs_to_listen_the_brokers_word_is_enough(site):
    site.broker()
    _, spool = site.sender(site.sink(need_subscriber=False))
    spool.record(record(0))
    wait_until(lambda: site.outbox.pending("mqtt") == 0)


def test_a_wrong_password_is_a_sentence_without_it(site, tmp_path, monkeypatch):
    (tmp_path / "passwords").write_text("")
    site.broker("allow_anonymous false", f"password_file {tmp_path / 'passwords'}")
    monkeypatch.setenv("RAREFAULT_MQTT_PASSWORD", "hunter2")
    with pytest.raises(UnavailableError, match=r"accepts no connection \(Not authorized\)") as caught:
        site.sink(username="north-7").open()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("limit", ["max_packet_size 20000", "message_size_limit 20000"])
def test_pictures_stay_behind_where_the_broker_does_not_take_them(site, limit):
    site.broker(limit)
    subscriber = site.subscriber()
    _, spool = site.sender(site.sink(inline=("frame",)))
    spool.record(record(0, size=1000))
    spool.record(record(1, size=50_000))
    wait_until(lambda: site.outbox.pending("mqtt") == 0)
    wait_until(lambda: len(subscriber.events()) == 2)
    assert ["data" in event["pictures"]["frame"] for event in subscriber.events()] == [True, False]


@pytest.mark.parametrize("limit", ["max_packet_size 20000", "message_size_limit 20000"])
def test_an_archive_travels_whole_or_is_parked(site, limit):
    site.broker(limit)
    subscriber = site.subscriber()
    _, spool = site.sender(site.sink())
    small, large = (archive_record(size) for size in (1000, 50_000))
    spool.record(small)
    spool.record(large)
    wait_until(lambda: site.outbox.parked("mqtt") == 1)
    wait_until(lambda: len(subscriber.events("/feedback")) == 1)
    (event,) = subscriber.events("north-7/feedback")
    assert base64.b64decode(event["pictures"]["archive"]["data"]) == bytes(1000)
    assert site.outbox.find(large.id).pictures["archive"].exists()


def archive_record(size):
    one = record(0, kind=FEEDBACK)
    return replace(one, camera="", pictures={"archive": bytes(size)})


def test_over_a_link_too_thin_for_pictures_the_alarm_arrives_without_them(site):
    broker = site.broker()
    subscriber = site.subscriber()
    with thin_link(broker.port, bytes_up=30_000) as port:
        _, spool = site.sender(site.sink(port=port, inline=("frame",)))
        for number, size in enumerate((1000, 60_000, 1000)):
            spool.record(record(number, size=size))
        wait_until(lambda: site.outbox.pending("mqtt") == 0)
    wait_until(lambda: numbers(subscriber.events()) == {"yard": [0, 1, 2]})
    assert {event["number"]: "data" in event["pictures"]["frame"] for event in subscriber.events()} == {
        0: True,
        1: False,
        2: True,
    }


def test_a_broker_that_says_nothing_is_given_up_in_time(site):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        sink = site.sink(port=mute.getsockname()[1], timeout=0.5)
        started = time.monotonic()
        with pytest.raises(UnavailableError, match="it does not answer"):
            sink.open()
        assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"\x20\x02\x00\x01", "knows only older versions of MQTT; this station needs MQTT 5"),
        (b"", "closes the connection without an answer; check .*, and that it speaks MQTT 5"),
    ],
)
def test_a_broker_of_mqtt_3_is_told_with_the_version_that_is_needed(site, answer, sentence):
    with socket.create_server(("127.0.0.1", 0)) as old:

        def greet() -> None:
            link, _ = old.accept()
            with link:
                link.recv(4096)
                link.sendall(answer)

        greeter = threading.Thread(target=greet)
        greeter.start()
        with pytest.raises(UnavailableError, match=sentence):
            site.sink(port=old.getsockname()[1]).open()
        greeter.join()


def test_what_the_broker_retains_of_cameras_that_are_gone_is_cleared(site):
    site.broker()
    before = site.sink()
    before.open()
    for camera in ("old-yard", "yard"):
        before.set_camera(camera, camera_status(None))
    wait_until(lambda: retained(site, "rarefault/north-7/old-yard/status"))
    before.close()  # the service is down while the settings change
    settings = MqttSection("127.0.0.1", site.the_broker.port, tls=False, timeout=5.0)
    after = MqttSink("north-7", settings, ["yard"])
    after.open()
    after.set_camera("yard", camera_status(Cause.FROZEN))
    newcomers = Newcomers(site)
    wait_until(lambda: newcomers.told() == {"rarefault/north-7/status", "rarefault/north-7/yard/status"})
    after.close()


class Newcomers:
    """What one subscriber after the other is told of what the broker retains."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def told(self) -> set[str]:
        newcomer = Subscriber(self._site.the_broker.port)
        wait_until(lambda: newcomer.last("rarefault/north-7/yard/status") is not None)
        newcomer.close()
        return {topic for topic, data, _ in newcomer.heard if data}


def test_a_broker_that_allows_no_subscription_gets_the_events_all_the_same(site, tmp_path):
    (tmp_path / "acl").write_text("topic write rarefault/north-7/#\n")
    site.broker(f"acl_file {tmp_path / 'acl'}")
    _, spool = site.sender(site.sink(need_subscriber=False))
    spool.record(record(0))
    wait_until(lambda: site.outbox.pending("mqtt") == 0)


def test_a_broker_that_is_not_there_is_named(site):
    port = mosquitto_broker.free_port()
    with pytest.raises(UnavailableError, match=rf"127.0.0.1:{port} cannot be reached \(Connection refused\); "):
        site.sink(port=port).open()


def test_a_broker_that_falls_silent_acknowledges_nothing_and_the_sender_still_stops(site):
    broker = site.broker()
    site.subscriber()
    sink = site.sink(timeout=0.5)
    sink.open()
    site.outbox.commit(record(0, size=500_000))
    broker.signal(signal.SIGSTOP)
    try:
        answer = sink.send(site.outbox.next("mqtt"))
        assert answer.verdict is Verdict.UNREACHABLE
        assert "acknowledged nothing" in answer.reason
        sender, _ = site.sender(site.sink())
        started = time.monotonic()
        stop(sender)
        assert time.monotonic() - started < 5
    finally:
        broker.signal(signal.SIGCONT)


def test_connections_that_come_and_go_leave_no_thread_behind(site):
    broker = site.broker()
    sink = site.sink()
    before = threading.active_count()
    for _ in range(5):
        sink.open()
        broker.kill()
        broker.start()
        wait_until(lambda: not sink._link.ready)
    sink.open()
    wait_until(lambda: threading.active_count() == before + 1)
    sink.close()
    wait_until(lambda: threading.active_count() == before)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """An authority, and a server's certificate for 127.0.0.1 by it."""
    place = tmp_path / "tls"
    place.mkdir()
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {0}.key -out {0}.crt -subj /CN={0}"
    commands = [
        new.format("ca"),
        new.format("other"),
        "openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=127.0.0.1",
        "openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -extfile ext",
    ]
    (place / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    try:
        for command in commands:
            subprocess.run(command.split(), cwd=place, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return place


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves a failed socket to Python
def test_tls_takes_the_right_authority_and_no_other(site, certificates):
    port = mosquitto_broker.free_port()
    files = f"certfile {certificates}/server.crt", f"keyfile {certificates}/server.key"
    site.broker(f"listener {port} 127.0.0.1", *files, "allow_anonymous true")
    subscriber = site.subscriber()
    right = site.sink(port=port, tls=True, ca_file=certificates / "ca.crt")
    _, spool = site.sender(right)
    spool.record(record(0))
    wait_until(lambda: len(subscriber.events()) == 1)
    trusting = {"tls": True, "ca_file": certificates / "ca.crt"}
    for settings, sentence in (
        (
            {"port": port, "tls": True, "ca_file": certificates / "other.crt"},
            "vouches for its certificate; set ca_file",
        ),
        ({"port": port, "tls": True}, "vouches for its certificate; set ca_file"),
        ({"port": port, "tls": True, "ca_file": certificates / "absent.crt"}, "^ca_file .*absent.crt cannot be read"),
        (
            {"port": port, **trusting, "cert_file": certificates / "absent.crt"},
            "^cert_file .*absent.crt cannot be read",
        ),
        ({"port": port, "tls": False}, "closes the connection without an answer; check .* wants tls = true"),
        ({"port": site.the_broker.port, **trusting}, "check the port, and whether it wants tls = false"),
    ):
        with pytest.raises(UnavailableError, match=sentence):
            site.sink(**settings).open()


def test_a_sender_killed_at_any_moment_loses_nothing_it_has_committed(site, tmp_path):
    broker = site.broker()
    subscriber = site.subscriber()
    chance = random.Random(0)
    printed: list[str] = []
    for _ in range(5):
        command = [*SENDER, str(tmp_path / "state"), str(broker.port), "100000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            wanted = chance.randrange(1, 40)
            printed += [process.stdout.readline().strip() for _ in range(wanted)]
            process.kill()
            printed += [line.strip() for line in process.stdout if line.endswith("\n")]
    finish = [*SENDER, str(tmp_path / "state"), str(broker.port), "0"]
    subprocess.run(finish, check=True, timeout=60, cwd=ROOT)
    committed = {entry.id: entry.document for entry in site.outbox.recent("alarm", 100_000)}
    assert set(printed) <= set(committed)
    wait_until(lambda: {event["id"] for event in subscriber.events()} == set(committed))
    total = len(committed)
    heard = numbers(subscriber.events())
    assert heard == {"camera-0": list(range(0, total, 2)), "camera-1": list(range(1, total, 2))}
    with sqlite3.connect(tmp_path / "state" / DATABASE) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()

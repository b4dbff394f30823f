"""The whole station: a camera over HTTP, the real engine, a real broker, and hands that stop and kill."""

import json
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.fake_mjpeg_camera import GREEN_FRAMES, PASSWORD, RED_FRAMES, USER, FaultServer, free_port
from tests.support.sample_events import wait_until

pytest.importorskip("paho.mqtt", reason="the extra `station` is not installed")
pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.alerts.outbox import DATABASE
from edge_runtime.clock import Instant
from edge_runtime.watchlog.ledger_query import ledger_path, read_night_of
from tests.support import ROOT, mosquitto_broker, spot_bundle
from tests.support.running_station import Station

pytestmark = pytest.mark.skipif(mosquitto_broker.MOSQUITTO is None, reason="mosquitto is not installed")


@pytest.fixture
def station(tmp_path: Path, packed: Path) -> Iterator[Station]:
    made = Station(tmp_path, packed)
    yield made
    made.close()


def test_a_fault_before_the_camera_arrives_at_the_broker(station):
    station.watching()
    station.camera.frames = RED_FRAMES
    wait_until(lambda: station.subscriber.events())
    (event,) = station.subscriber.events()
    assert (event["camera"], event["label"], event["test"]) == ("yard", "rust", False)
    assert event["votes"] == {"votes": 2, "of": 3, "needed": 2}
    assert event["pictures"]["heatmap"]["data"]
    station.camera.frames = GREEN_FRAMES
    wait_until(lambda: any("alarm ended" in line["message"] for line in station.logged()))
    metrics = station.page("metrics")
    assert 'rarefault_events_total{camera="yard",label="rust"} 1.0' in metrics
    assert "rarefault_frames_evaluated_total" in metrics
    assert json.loads(station.page("healthz")) == {"status": "ok", "troubles": {}}


def test_systemd_hears_ready_alive_and_stopping_and_the_stop_is_clean(station):
    station.watching()
    wait_until(lambda: "WATCHDOG=1" in station.heard())
    wait_until(lambda: "STATUS=watching 1 of 1 cameras" in station.heard())
    assert station.heard()[0] == "READY=1"
    unit = (ROOT / "deploy" / "rarefault-station.service").read_text()
    began = time.monotonic()
    assert station.end() == 0
    # systemd kills after this time; a machine that is busy with other tests gets twice as long.
    assert time.monotonic() - began < 2 * int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[1])
    wait_until(lambda: station.heard()[-1] == "STOPPING=1")
    wait_until(lambda: station.subscriber.last("rarefault/north-7/status") == b"offline")
    assert station.logged()[-1]["message"] == "stopped"


def test_a_hangup_of_the_terminal_is_a_clean_stop_and_nohup_holds_against_it(station):
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which a child inherits; the tests may run under nohup
    try:
        station.watching()
        assert station.end(signal.SIGHUP) == 0
        wait_until(lambda: station.subscriber.last("rarefault/north-7/status") == b"offline")
        assert station.logged()[-1]["message"] == "stopped"
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as from nohup
        station.watching()
    finally:
        signal.signal(signal.SIGHUP, before)
    station.process.send_signal(signal.SIGHUP)
    count = station.heard().count("WATCHDOG=1")
    wait_until(lambda: station.heard().count("WATCHDOG=1") > count + 2)
    assert station.end() == 0


def test_a_camera_that_was_renamed_leaves_no_status_behind(station):
    station.configure(old=station.camera.url())
    station.run()
    wait_until(lambda: station.status("old") == {"status": "online", "cause": ""})
    assert station.end() == 0
    station.configure(yard=station.camera.url())
    station.watching()
    wait_until(lambda: station.subscriber.last("rarefault/north-7/old/status") == b"")


def test_pictures_that_are_uploaded_are_watched_for(station, tmp_path):
    upload = tmp_path / "ftp"
    upload.mkdir()
    station.configure(yard=f"{upload}/")
    station.run()
    wait_until(lambda: (station.status("yard") or {}).get("cause") == "no_upload")
    for number in range(3):
        (upload / "latest.part").write_bytes(RED_FRAMES[number])
        (upload / "latest.part").rename(upload / "latest.jpg")
        seen = number + 1
        wait_until(lambda seen=seen: counted_frames(station) == seen)
    wait_until(station.subscriber.events)
    wait_until(lambda: station.status("yard") == {"status": "online", "cause": ""})


def counted_frames(station: Station) -> float:
    return counted(station.page("metrics"), 'rarefault_frames_evaluated_total{camera="yard"}')


def test_dead_cameras_do_not_keep_the_others_from_being_watched(station):
    with FaultServer("mute") as mute, FaultServer("basic") as locked:
        (station.folder / "secret").write_text(PASSWORD)
        login = f'username = "{USER}"\npassword_file = "secret"'
        refused = f"http://127.0.0.1:{free_port()}/x"
        station.configure(login, yard=station.camera.url(), gate=locked.url(), off=refused, deaf=mute.url())
        station.watching()
        wait_until(lambda: station.status("gate") == {"status": "online", "cause": ""})
        wait_until(lambda: station.status("off") == {"status": "offline", "cause": "refused"})
        wait_until(lambda: station.status("deaf") == {"status": "offline", "cause": "timeout"})
        told = station.call("status").stdout
        assert "  deaf: offline (timeout)\n" in told
        assert "  yard: online\n" in told
        assert PASSWORD not in station.log_text() + told


def test_a_secret_that_cannot_be_read_blinds_one_camera(station):
    login = 'username = "watch"\npassword_file = "missing"'
    station.configure(login, gate=station.camera.url())
    text = station.config.read_text()
    station.configure(yard=station.camera.url())
    gate = text[text.index("[[camera]]") : text.index("[decision]")]
    station.config.write_text(station.config.read_text().replace("[decision]", gate + "[decision]"))
    station.watching()
    wait_until(lambda: (station.status("gate") or {}).get("cause") == "misconfigured")
    problem = station.status("gate")["problem"]
    assert "missing cannot be read" in problem
    wait_until(lambda: f"gate: offline (misconfigured): {problem}" in station.call("status").stdout)
    assert f"FAIL  camera gate: misconfigured; {problem}" in station.call("check").stdout
    done = station.call("test-alarm", "--camera", "gate")
    assert (done.returncode, done.stderr) == (1, f"Error: camera gate does not run: {problem}\n")
    assert station.process.poll() is None


def test_what_cannot_be_judged_gets_no_verdict_and_stands_in_the_ledger(station):
    station.watching()
    station.camera.fault = "freeze"
    wait_until(lambda: station.status("yard") == {"status": "not_evaluated", "cause": "frozen"})
    before = station.page("metrics")
    counter, blind = 'rarefault_frames_evaluated_total{camera="yard"}', 'rarefault_blind_seconds_total{camera="yard",'
    frozen = blind + 'cause="frozen"}'
    wait_until(lambda: counted(station.page("metrics"), frozen) > counted(before, frozen) + 1)  # verdicts could come
    assert counted(station.page("metrics"), counter) == counted(before, counter)
    document = json.loads(station.call("status", "--json").stdout)
    assert document["at_work"]
    assert document["cameras"]["yard"] == {"status": "not_evaluated", "cause": "frozen"}
    assert [b["cause"] for b in document["night"]["cameras"]["yard"]["blind"]][-1] == "frozen"
    assert station.end() == 0
    night = read_night_of(ledger_path(station.state), 60, Instant(time.monotonic() + 5, time.time() + 5), False)
    assert night.blind[-1].cause.value == "not_running"


def test_a_test_alarm_goes_the_whole_way_and_is_marked(station):
    alone = station.call("test-alarm")
    assert (alone.returncode, alone.stdout) == (1, "")
    assert "no service works on" in alone.stderr
    station.watching()
    done = station.call("test-alarm", "--camera", "yard")
    assert done.returncode == 0, done.stderr + station.log_text()
    assert "ok    a marked frame of yard came through reader and shared memory" in done.stdout
    assert "of yard told to mqtt in" in done.stdout
    wait_until(station.subscriber.events)
    (event,) = station.subscriber.events()
    assert (event["test"], event["camera"], event["label"]) == (True, "yard", "rust")
    assert 'rarefault_test_alarms_total{camera="yard",result="raised"} 1.0' in station.page("metrics")
    assert 'rarefault_frame_tests_total{camera="yard",result="arrived"} 1.0' in station.page("metrics")
    assert "rarefault_events_total{" not in station.page("metrics")
    assert "no camera is named 'gate'" in station.call("test-alarm", "--camera", "gate").stderr


def test_an_alarm_of_a_spatial_bundle_tells_group_and_doubts(station, tmp_path):
    station.bundle = spot_bundle.make_bundle(tmp_path / "spots")
    station.configure(yard=station.camera.url(), more="regions = [[0.0, 0.0, 1.0, 0.9]]")
    station.watching()
    done = station.call("test-alarm", "--camera", "yard")
    assert done.returncode == 0, done.stdout + done.stderr + station.log_text()
    wait_until(station.subscriber.events)
    (event,) = station.subscriber.events()
    assert (event["label"], event["group"]["label"], event["evidence"]) == ("line_hot", "line", "boxes")
    assert (event["supported"], event["votes"]) == (False, {"votes": 2, "of": 2, "needed": 2})
    assert event["doubts"] == ["line_hot: not supported: the score does not rest on the fault"]
    wait_until(lambda: "rarefault_frames_evaluated_total" in station.page("metrics"))


def test_a_test_alarm_that_the_broker_does_not_take_fails_and_says_so(station):
    station.watching()
    station.broker.stop()
    done = station.call("test-alarm", "--wait", "20")
    assert done.returncode == 1
    assert "ok    a marked frame of yard" in done.stdout
    assert "FAIL  the test alarm of yard has not reached every sink: it was raised, but mqtt has not" in done.stdout


def test_a_wait_that_ends_before_one_test_shows_the_outcome_of_the_other(station):
    station.camera.fault = "mute"
    station.run()
    wait_until(lambda: (station.status("yard") or {}).get("cause") == "timeout")
    done = station.call("test-alarm", "--wait", "6")
    assert done.returncode == 1
    assert "FAIL  the marked frame of yard had no outcome in time" in done.stdout
    assert "ok    test alarm" in done.stdout
    wait_until(lambda: "no marked frame of yard came through" in station.log_text(), 60)
    assert list((station.state / "requests").iterdir()) == []


def test_a_test_alarm_that_cannot_be_raised_says_so(station):
    text = station.config.read_text().replace("cooldown = 0", "cooldown = 0\nthresholds = { rust = 1.0, leak = 1.0 }")
    station.config.write_text(text)
    station.watching()
    done = station.call("test-alarm", "--wait", "30")
    assert done.returncode == 1
    assert "ok    a marked frame of yard" in done.stdout
    assert "FAIL  no test alarm of yard: no golden frame of the bundle reaches a threshold" in done.stdout
    assert "no golden frame of the bundle reaches a threshold" in station.log_text()


def test_killed_while_alarms_are_raised_it_loses_none(station):
    told: set[str] = set()
    for kill in range(3):
        station.watching() if kill == 0 else station.run()
        station.camera.frames = RED_FRAMES
        before = len(told)
        wait_until(lambda before=before: len(committed(station)) > before)
        told |= committed(station)
        station.process.kill()
        station.process.wait()
        station.camera.frames = GREEN_FRAMES
    station.watching()
    wait_until(lambda: told <= {event["id"] for event in station.subscriber.events()})
    gaps = [
        b["cause"] for b in json.loads(station.call("status", "--json").stdout)["night"]["cameras"]["yard"]["blind"]
    ]
    assert gaps.count("not_running") == 3
    assert station.end() == 0
    with sqlite3.connect(station.state / DATABASE) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_two_regions_of_one_camera_are_judged_apart(station):
    station.configure("regions = [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 0.5, 1.0]]", yard=station.camera.url())
    station.watching()
    station.camera.frames = RED_FRAMES
    wait_until(lambda: len(station.subscriber.events()) == 2)
    assert {event["region"] for event in station.subscriber.events()} == {"region-1", "region-2"}


def test_settings_and_bundles_that_cannot_be_used_are_one_sentence(station, tmp_path):
    station.config.write_text(
        station.config.read_text().replace("needed = 2", "needed = 2\nthresholds = { moss = 0.5 }")
    )
    done = station.call("run")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "there is a threshold for 'moss', which is no fault of this bundle" in done.stderr
    station.configure(yard=station.camera.url())
    text = station.config.read_text()
    station.config.write_text(text.replace(f'bundle = "{station.bundle}"', ""))
    assert "set bundle in [station], or run an update" in station.call("run").stderr


def test_check_tries_everything_and_says_what_to_mend(station):
    done = station.call("check")
    assert done.returncode == 0, done.stdout
    for line in ("ok    camera yard: 128 x 96 pixels", "ok    mqtt can be reached", "ok    cpu fp32: agrees"):
        assert line in done.stdout
    station.broker.kill()
    with FaultServer("basic") as locked:
        station.configure(yard=station.camera.url(), gate=locked.url(), off=f"http://127.0.0.1:{free_port()}/x")
        done = station.call("check")
    assert done.returncode == 1
    assert "FAIL  camera gate: auth; the camera rejects user or password" in done.stdout
    assert "FAIL  camera off: refused; the host turns connections away" in done.stdout
    assert "FAIL  mqtt: the broker 127.0.0.1" in done.stdout
    assert "ok    camera yard" in done.stdout


def test_check_beside_the_running_service_disturbs_nothing(station):
    station.watching()
    assert station.call("check").returncode == 0
    assert station.status("yard") == {"status": "online", "cause": ""}
    assert station.subscriber.last("rarefault/north-7/status") == b"online"
    assert station.call("run").returncode == 1


def committed(station: Station) -> set[str]:
    """Ids of the alarms on disk."""
    with sqlite3.connect(f"file:{station.state / DATABASE}?mode=ro", uri=True) as database:
        return {row[0] for row in database.execute("SELECT id FROM events WHERE kind = 'alarm'")}


def counted(metrics: str, name: str) -> float:
    return next((float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith(name + " ")), 0.0)


def test_a_camera_process_that_hangs_is_replaced(station):
    station.watching()
    (hung,) = psutil.Process(station.process.pid).children()
    hung.suspend()
    wait_until(lambda: "stalled" in [status["cause"] for status in station.statuses("yard")])
    wait_until(lambda: station.status("yard") == {"status": "online", "cause": ""})
    assert not hung.is_running()


def test_a_broker_that_hangs_keeps_nobody_from_watching(station):
    station.watching()
    station.broker.signal(signal.SIGSTOP)
    station.camera.frames = RED_FRAMES
    wait_until(lambda: committed(station))
    counter = 'rarefault_frames_evaluated_total{camera="yard"}'
    before = counted(station.page("metrics"), counter)
    wait_until(lambda: counted(station.page("metrics"), counter) > before + 5)
    station.broker.signal(signal.SIGCONT)
    wait_until(lambda: station.subscriber.events())

"""`edge-station status` beside no service: what the ledger and the outbox of the last run hold."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.alerts.events import Reporter, camera_status
from edge_runtime.bundle.store import open_bundle
from edge_runtime.causes import Cause
from edge_runtime.clock import Clock, instant
from edge_runtime.station.cli import main
from edge_runtime.station.metrics import Metrics
from edge_runtime.station.open_outbox import open_outbox
from edge_runtime.station.scores.drift import DriftWatch
from edge_runtime.station.settings import HttpSection, load_station_settings
from edge_runtime.station.state_lock import lock_state_folder
from edge_runtime.station.status_server import StatusServer
from edge_runtime.updates.errors import Reason
from edge_runtime.updates.state import UpdateState
from edge_runtime.updates.update_process import commit, fail, start_probation
from edge_runtime.watchlog.ledger import Ledger
from edge_runtime.watchlog.ledger_query import ledger_path
from tests.support import live_models
from tests.support.sample_events import wait_until
from tests.support.scored_views import grown_dark

PROBLEM = "the secret in /secrets/gate cannot be read (No such file or directory); check the file"
SETTINGS = """
[station]
name = "north-7"
state_dir = "state"
[[camera]]
name = "yard"
url = "usb:0"
[[camera]]
name = "gate"
url = "usb:1"
[webhook]
url = "http://h/"
"""


@pytest.fixture
def config(tmp_path: Path, packed: Path) -> Path:
    """A station that ran for a minute: yard was frozen at the end, gate was misconfigured all the time."""
    path = tmp_path / "station.toml"
    path.write_text(SETTINGS)
    now = time.monotonic()
    ledger_path(tmp_path / "state").parent.mkdir(parents=True)
    ledger = Ledger(ledger_path(tmp_path / "state"), instant(now - 60))
    ledger.watch(["yard", "gate"], instant(now - 60))
    ledger.note({"gate": (Cause.MISCONFIGURED, now - 60), "yard": (Cause.FROZEN, now - 20)}, instant(now - 20))
    ledger.close(instant(now))  # as a power cut would leave it
    outbox = open_outbox(load_station_settings(path))
    cameras = {"gate": camera_status(Cause.MISCONFIGURED, PROBLEM), "yard": camera_status(Cause.FROZEN)}
    outbox.commit(Reporter("north-7", open_bundle(packed)).heartbeat({"cameras": cameras}, Clock().read()))
    outbox.close()
    return path


def test_a_station_that_does_not_run_is_told_with_what_waits(config):
    done = CliRunner().invoke(main, ["status", "--config", str(config)])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "north-7: the service is NOT running"
    assert lines[1:3] == ["  yard: offline (not_running)", "  gate: offline (not_running)"]
    assert "  webhook: 1 events wait, 0 were refused" in lines


def test_a_failed_update_is_told_with_what_to_do(config, tmp_path):
    UpdateState().failed(Reason.LATENCY, "one frame takes 9 ms").save(tmp_path / "state")
    output = CliRunner().invoke(main, ["status", "--config", str(config)]).output
    assert f"(latency: one frame takes 9 ms; {Reason.LATENCY.advice})" in output


def test_a_camera_that_has_left_its_range_is_told_with_what_to_do(config, tmp_path):
    grown_dark(DriftWatch(tmp_path / "state", "c" * 64, [("yard", "")]))
    output = CliRunner().invoke(main, ["status", "--config", str(config)]).output
    assert "  yard: the picture is darker than in its first week at this time of day, since 2027-01-" in output


def test_a_misconfigured_camera_has_the_sentence_that_the_service_gave(config, tmp_path):
    with lock_state_folder(tmp_path / "state"):  # as the service does
        text = CliRunner().invoke(main, ["status", "--config", str(config)]).output
        document = json.loads(CliRunner().invoke(main, ["status", "--config", str(config), "--json"]).output)
    assert f"  yard: not_evaluated (frozen)\n  gate: offline (misconfigured): {PROBLEM}\n" in text
    assert document["cameras"]["gate"] == {"status": "offline", "cause": "misconfigured", "problem": PROBLEM}


def test_the_page_of_the_night_can_be_written(config, tmp_path):
    CliRunner().invoke(main, ["status", "--config", str(config), "--html", str(tmp_path / "page.html")])
    assert "<h1>north-7: what was watched</h1>" in (tmp_path / "page.html").read_text()


def test_before_the_first_run_it_says_so_and_what_will_serve(tmp_path, packed):
    (tmp_path / "station.toml").write_text(SETTINGS.replace("[[camera]]", f'bundle = "{packed}"\n[[camera]]', 1))
    done = CliRunner().invoke(main, ["status", "--config", str(tmp_path / "station.toml")])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0] == "north-7: the service is NOT running, and has never run here"
    assert f"  model: colours 1 ({open_bundle(packed).digest[:12]}), slot bundle" in lines
    assert lines[-1] == "watched nothing: no camera was due"


def test_a_ledger_that_cannot_be_read_is_a_sentence(tmp_path):
    (tmp_path / "station.toml").write_text(SETTINGS)
    ledger_path(tmp_path / "state").parent.mkdir(parents=True)
    ledger_path(tmp_path / "state").write_bytes(b"no database, but long enough to be looked at" * 100)
    done = CliRunner().invoke(main, ["status", "--config", str(tmp_path / "station.toml")])
    assert done.exit_code == 1
    assert "has the service run here?" in done.output


def test_the_running_service_knows_better_than_a_full_disk(config, tmp_path):
    text = SETTINGS + '[http]\nhost = "{host}"\nport = {port}\n'
    told = {"station": "north-7", "cameras": {"yard": camera_status(None)}, "disk": "the ledger cannot be kept (full)"}
    for host in ("127.0.0.1", "[::1]"):
        server = StatusServer(HttpSection(host, 0), Metrics())
        server.start({}, lambda: told)
        config.write_text(text.format(host=host, port=server.port))
        with lock_state_folder(tmp_path / "state"):
            output = CliRunner().invoke(main, ["status", "--config", str(config)]).output
        server.stop()
        assert "  yard: online\n  gate: offline (misconfigured)" in output
        assert "  disk: the ledger cannot be kept (full); the line below is from before\n" in output


def test_maintenance_is_told_with_its_end_and_whose_it_is_and_from_the_ledger_where_nobody_answers(config, tmp_path):
    asked = {"until": "2026-11-23T14:00:00.000Z", "by": "anna"}
    server = StatusServer(HttpSection(port=0), Metrics())
    cameras = {"yard": camera_status(Cause.MAINTENANCE, until_by=asked)}
    server.start({}, lambda: {"station": "north-7", "cameras": cameras})
    config.write_text(f"{SETTINGS}[http]\nport = {server.port}\n")
    ledger = Ledger(ledger_path(tmp_path / "state"), instant())
    ledger.watch(["yard", "gate"], instant())
    ledger.note({"gate": (Cause.MAINTENANCE, time.monotonic())}, instant())
    with lock_state_folder(tmp_path / "state"):
        wait_until(lambda: "gate: maintenance" in CliRunner().invoke(main, ["status", "--config", str(config)]).output)
        output = CliRunner().invoke(main, ["status", "--config", str(config)]).output
    ledger.close(instant())
    server.stop()
    assert "  yard: maintenance: until 2026-11-23T14:00:00.000Z, by anna\n  gate: maintenance\n" in output
    assert "gate under maintenance for " in output


def test_another_station_at_that_port_is_not_asked(config, tmp_path):
    server = StatusServer(HttpSection(port=0), Metrics())
    server.start({}, lambda: {"station": "south-1", "cameras": {"yard": camera_status(None)}})
    config.write_text(f"{SETTINGS}[http]\nport = {server.port}\n")
    with lock_state_folder(tmp_path / "state"):
        assert "yard: not_evaluated (frozen)" in CliRunner().invoke(main, ["status", "--config", str(config)]).output
    server.stop()


def test_the_slot_and_the_newest_update_are_told_from_the_disk(config, tmp_path):
    slots = load_station_settings(config).station.slots
    first = live_models.make_version(tmp_path / "first", "1")
    live_models.hand_over(slots, first, 3)
    start_probation(slots)
    commit(slots)
    done = CliRunner().invoke(main, ["status", "--config", str(config)])
    assert "  update to release 3: committed since " in done.output
    live_models.hand_over(slots, live_models.make_version(tmp_path / "second", "2"), 4)
    fail(slots, Reason.SHADOW, "9 of 20 frames told otherwise")
    done = CliRunner().invoke(main, ["status", "--config", str(config), "--json"])
    update = json.loads(done.output)["update"]
    assert (update["slot"], update["release"], update["stage"]) == (first.digest, 4, "failed")
    assert (update["reason"], update["detail"]) == ("shadow", "9 of 20 frames told otherwise")

import json
import time
from pathlib import Path

import pytest

pytest.importorskip("securesystemslib", reason="the extra `station` is not installed")
from click.testing import CliRunner

from edge_runtime.bundle.store import open_bundle
from edge_runtime.causes import Cause
from edge_runtime.clock import instant
from edge_runtime.station.cli import main
from edge_runtime.station.updating.signed_reports import SignedReports
from edge_runtime.updates.identity.reports import verified_report
from edge_runtime.updates.identity.station_key import PRIVATE_FILE, open_station_key
from edge_runtime.watchlog.ledger import Ledger
from edge_runtime.watchlog.ledger_query import ledger_path

SETTINGS = """
[station]
name = "north-7"
state_dir = "state"
bundle = "{bundle}"
[[camera]]
name = "yard"
url = "yard.avi"
"""
MODEL = {"name": "demo", "version": "1", "digest": "d" * 64}
UPDATE = {
    "slot": "d" * 64, "stage": "failed", "release": 4, "bundle": "e" * 64, "reason": "golden", "detail": "x" * 5000,
    "since": "2026-11-26T09:00:00.000Z",
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, packed: Path) -> Path:
    """A station that ran for a minute, of which its camera was frozen for 20 seconds."""
    now, path = time.monotonic(), tmp_path / "station.toml"
    path.write_text(SETTINGS.format(bundle=packed))
    ledger_path(tmp_path / "state").parent.mkdir(parents=True)
    ledger = Ledger(ledger_path(tmp_path / "state"), instant(now - 60))
    ledger.watch(["yard"], instant(now - 60))
    ledger.note({"yard": (None, now - 60)}, instant(now - 60))
    ledger.note({"yard": (Cause.FROZEN, now - 20)}, instant(now - 20))
    ledger.close(instant(now))
    return path


def test_the_command_writes_what_the_station_runs_and_did_not_watch(config, tmp_path, packed):
    (tmp_path / "stick").mkdir()
    done = CliRunner().invoke(main, ["report", "--config", str(config), str(tmp_path / "stick")])
    assert done.exit_code == 0, done.output
    key = open_station_key(tmp_path / "state" / "updates")
    assert key.public["keyid"][:16] in done.output
    document = json.loads((tmp_path / "stick" / "reports" / "north-7.json").read_bytes())
    found = verified_report(document, key.public)
    assert (found.station, found.stage, found.release) == ("north-7", "idle", None)
    assert found.digest == open_bundle(packed).digest
    assert found.due_seconds == pytest.approx(60, abs=5)
    assert found.blind_seconds == pytest.approx(20, abs=5)


def test_a_heartbeats_report_carries_the_update_and_no_endless_detail(tmp_path):
    reports = SignedReports(tmp_path, "north-7")
    document = reports.for_heartbeat(MODEL, UPDATE)["report"]
    found = verified_report(document, open_station_key(tmp_path / "updates").public)
    assert (found.stage, found.release, found.reason, len(found.detail)) == ("failed", 4, "golden", 1000)


def test_a_heartbeat_goes_out_without_a_report_where_the_key_is_damaged(tmp_path, caplog):
    (tmp_path / "updates").mkdir()
    (tmp_path / "updates" / PRIVATE_FILE).write_text("nothing")
    reports = SignedReports(tmp_path, "north-7")
    assert [reports.for_heartbeat(MODEL, UPDATE) for _ in range(3)] == [{}, {}, {}]
    assert caplog.text.count("no signed report") == 1

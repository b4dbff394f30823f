"""What rarefault 0.1.0 left on a disk is read, kept and delivered by this version. See tests/data/0.1.0/README.md."""

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from augment.records import COMPARISON, DATASET, STAGES, SYNTHETIC, RunFolder
from edge_runtime.alerts.events import ALARM, FEEDBACK, HEARTBEAT, SAMPLE, UPDATE, Record
from edge_runtime.alerts.outbox import Outbox
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.store import open_bundle
from edge_runtime.causes import Cause
from edge_runtime.station.settings import load_station_settings
from edge_runtime.watchlog.ledger import Ledger
from edge_runtime.watchlog.ledger_query import ledger_path
from tests.support import ROOT
from tests.support.colour_bundle import make_bundle
from tests.support.fake_mjpeg_camera import free_port
from tests.support.ledger_nights import at, blind
from tests.support.sample_events import wait_until
from tests.support.webhook_receiver import SECRET, receiving

OLD = ROOT / "tests" / "data" / "0.1.0"
DOCUMENTS = sorted(path.relative_to(OLD / "run") for path in OLD.glob("run/*/v*.json"))
STATION = """
[station]
name = "north-7"
state_dir = "state"
bundle = "bundle"
engine = "cpu"
test_alarm_hours = 0

[[camera]]
name = "yard"
url = "http://127.0.0.1:{closed}/"

[[camera]]
name = "roof"
url = "http://127.0.0.1:{closed}/"

[webhook]
url = "http://127.0.0.1:{receiver}/hook?site=7"
secret_file = "secret"
inline = ["frame", "heatmap"]

[http]
port = {http}
{more}
"""
MQTT = """
[mqtt]
host = "127.0.0.1"
port = {broker}
tls = false
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of everything that 0.1.0 left; the tests may write into it."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def digest(content: dict[str, Any]) -> str:
    """The digest of a stage document as 0.1.0 computed it: SHA-256 of everything but `created`."""
    kept = {key: value for key, value in content.items() if key != "created"}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def stored(folder: Path, sink: str) -> list[tuple[str, str, str]]:
    """(kind, id, state) of the old outbox for `sink`, in the order in which they have to arrive."""
    base = sqlite3.connect(f"file:{folder / 'state' / 'outbox.sqlite3'}?mode=ro", uri=True)
    rows = base.execute(
        "SELECT kind, id, state FROM deliveries JOIN events USING (seq) WHERE sink = ? ORDER BY deliveries.rank, seq",
        (sink,),
    ).fetchall()
    base.close()
    return rows


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def edge_station(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edge_runtime.station", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120)


class OldStation:
    """The 0.1.0 state folder under today's service, with a webhook as its receiver and cameras that refuse.

    The bundle is today's: the old one is refused.
    """

    def __init__(self, folder: Path, receiver: int, more: str = "") -> None:
        self.folder = folder
        shutil.rmtree(folder / "bundle")
        make_bundle(folder / "bundle")
        (folder / "secret").write_bytes(SECRET)
        settings = STATION.format(closed=free_port(), receiver=receiver, http=free_port(), more=more)
        (folder / "station.toml").write_text(settings)

    def __enter__(self) -> "OldStation":
        command = [sys.executable, "-m", "edge_runtime.station", "run"]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=environment(), stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.mark.parametrize("place", DOCUMENTS, ids=str)
def test_a_document_keeps_its_digest_when_it_is_read_and_written_again(old, place):
    before = json.loads((old / "run" / place).read_bytes())
    for later in (old / "run" / place.parent).glob("v*.json"):
        if later.name > place.name:
            later.unlink()
    stage = next(stage for stage in STAGES if stage.document == place.parent.name)
    document = RunFolder(old / "run").latest(stage)
    assert document.digest == digest(before)
    (old / "run" / place).unlink()
    again = RunFolder(old / "run").write(document)
    after = json.loads((old / "run" / place).read_bytes())
    assert again.digest == digest(before)
    assert {**after, "created": ""} == {**before, "created": ""}


def test_the_records_of_a_document_are_read_as_their_types(old):
    run = RunFolder(old / "run")
    photographs, generated = run.latest(DATASET).records, run.latest(SYNTHETIC).records
    assert {record.split for record in photographs} == {"train", "val", "test"}
    assert {record.method for record in generated} == {"text2img", "adapted-img2img-0.5"}
    assert run.latest(COMPARISON).summary.verdict in ("PASS", "FAIL", "INCONCLUSIVE")


def test_a_finished_run_whose_bundle_was_packed_anew_is_found_finished(old):
    """Packing anew itself needs weights, which are not kept of 0.1.0: see tests/augment/stages/test_pack.py."""
    path = old / "run" / "bundle" / "manifest.json"
    today = {"format_version": "2.0", "requires": ["class-head"], "head": {"kind": "class"}}
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **today}))
    before = {path: path.read_bytes() for path in old.glob("run/*/v*.json")}
    assert len({path.parent.name for path in before}) == 9
    command = [sys.executable, "-m", "augment.cli", "run", "run/pipeline.toml"]
    one_thread = {**environment(), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=old, env=one_thread, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in old.glob("run/*/v*.json")} == before
    assert not list(old.glob("run/training/**/*.safetensors"))
    assert not list(old.glob("run/bundle/*.onnx"))
    assert (old / "run" / "report" / "index.html").exists()


REFUSED = (
    r"has format_version 1\.\d, this rarefault reads 2\.x; pack it again from its checkpoint with `rarefault export"
)


def test_the_bundle_is_refused_with_the_way_to_pack_it_again(old):
    with pytest.raises(InputError, match=REFUSED):
        open_bundle(old / "bundle")
    content = json.loads((old / "run" / "bundle" / "manifest.json").read_bytes())
    with pytest.raises(InputError, match=REFUSED):
        Manifest.from_json(content)


@pytest.mark.parametrize("command", ["edge_runtime.classify", "edge_runtime.station"])
def test_the_commands_refuse_the_bundle_in_one_sentence(old, command):
    arguments = ["x.png"] if command == "edge_runtime.classify" else ["check"]
    run = [sys.executable, "-m", command, *arguments, "--bundle", "bundle"]
    done = subprocess.run(run, cwd=old, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert re.search(REFUSED, done.stderr)
    assert "Traceback" not in done.stderr


def test_the_station_settings_are_read():
    settings = load_station_settings(OLD / "station.toml")
    assert [camera.name for camera in settings.camera] == ["yard-3", "gate"]


def test_the_whole_outbox_is_delivered_in_order_with_pictures(old):
    expected = [(kind, name) for kind, name, state in stored(old, "webhook") if state == "pending"]
    kept = {kind: [name for of, name in expected if of == kind] for kind in ("alarm", "sample")}
    assert [len(names) for names in kept.values()] == [3, 2]
    with receiving() as receiver, OldStation(old, receiver.port) as station:

        def arrived(kind: str) -> list[str]:
            return [event["id"] for event in receiver.accepted if event["kind"] == kind]

        wait_until(lambda: len(arrived("sample")) == 2 and station.process.poll() is None, 60)
        assert arrived("alarm") == kept["alarm"]
        assert arrived("sample") == kept["sample"]
        assert arrived("heartbeat")  # the old one, or the service's first, which takes its place
        for event in receiver.accepted:
            for name, picture in event.get("pictures", {}).items():
                assert hashlib.sha256(base64.b64decode(picture["data"])).hexdigest() == picture["sha256"], name
    assert all(event["pictures"] for event in receiver.accepted if event["kind"] != "heartbeat")


def test_the_whole_outbox_reaches_a_broker_in_order(old, tmp_path):
    pytest.importorskip("paho.mqtt", reason="the extra `station` is not installed")
    from tests.support import mosquitto_broker

    if mosquitto_broker.MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    expected = [name for kind, name, _ in stored(old, "mqtt") if kind == "alarm"]
    samples = [name for kind, name, _ in stored(old, "mqtt") if kind == "sample"]
    broker = mosquitto_broker.Broker(tmp_path / "broker").start()
    subscriber = mosquitto_broker.Subscriber(broker.port)
    try:
        with OldStation(old, free_port(), MQTT.format(broker=broker.port)):
            wait_until(lambda: len(subscriber.events("/sample")) == 2, 60)
            assert [event["id"] for event in subscriber.events()] == expected
            assert [event["id"] for event in subscriber.events("/sample")] == samples
    finally:
        subscriber.close()
        broker.kill()


def test_what_0_1_0_parked_is_sent_on_request(old):
    (parked,) = [name for _, name, state in stored(old, "webhook") if state == "parked"]
    with receiving() as receiver, OldStation(old, receiver.port):
        wait_until(lambda: len([event for event in receiver.accepted if event["kind"] == "sample"]) == 2, 60)
        assert parked not in [event["id"] for event in receiver.accepted]
        assert edge_station(old, "events", "--retry-parked").returncode == 0
        wait_until(lambda: parked in [event["id"] for event in receiver.accepted])


def test_events_lists_what_0_1_0_committed(old):
    OldStation(old, free_port())
    done = edge_station(old, "events", "--jsonl")
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["id"] for event in listed] == [name for kind, name, _ in stored(old, "webhook") if kind == "alarm"]
    assert [event["deliveries"]["webhook"]["state"] for event in listed].count("delivered") == 1
    assert all(event["pictures_kept"] == ["frame", "heatmap"] for event in listed)
    assert len(edge_station(old, "events").stdout.splitlines()) == 5


def test_the_ledger_is_read(old):
    OldStation(old, free_port())
    done = edge_station(old, "status", "--json", "--hours", "1000000")
    assert done.returncode == 0, done.stderr
    cameras = json.loads(done.stdout)["night"]["cameras"]
    assert [i["seconds"] for i in cameras["yard"]["blind"] if i["cause"] == "frozen"] == [300.0, 300.0]
    assert [i["seconds"] for i in cameras["roof"]["blind"] if i["cause"] == "auth"] == [3600.0, 3600.0]


def test_the_outbox_has_the_tables_of_0_1_0_so_that_either_version_goes_on_with_the_others(tmp_path, old):
    """An upgrade and a downgrade with a full outbox: no table is changed, and each kind known to 0.1.0 has its rank."""
    outbox = Outbox(tmp_path / "state", ["webhook"])
    for kind in (SAMPLE, HEARTBEAT, UPDATE, ALARM):
        outbox.commit(Record(f"of {kind}", kind, "", {"kind": kind, "test": False}))
    outbox.close()
    told = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    ours, theirs = ([row[0] for row in rows(folder, told)] for folder in (tmp_path / "state", old / "state"))
    assert [" ".join(line.split()) for line in ours] == [" ".join(line.split()) for line in theirs]
    assert rows(tmp_path / "state", "PRAGMA user_version") == rows(old / "state", "PRAGMA user_version")
    ranks = dict(rows(tmp_path / "state", "SELECT kind, rank FROM events"))
    old_ranks = dict(rows(old / "state", "SELECT kind, rank FROM events"))
    assert {kind: ranks[kind] for kind in (HEARTBEAT, SAMPLE)} == {
        kind: old_ranks[kind] for kind in (HEARTBEAT, SAMPLE)
    }
    assert ranks[ALARM] < old_ranks[ALARM] < ranks[HEARTBEAT]  # today's alarms go first whoever sends them
    assert ranks[ALARM] < ranks[UPDATE] < ranks[HEARTBEAT]


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    base = sqlite3.connect(f"file:{folder / 'outbox.sqlite3'}?mode=ro", uri=True)
    found = base.execute(query).fetchall()
    base.close()
    return found


def test_what_the_guide_does_before_a_downgrade_leaves_nothing_that_the_older_version_does_not_know(tmp_path):
    guide = (ROOT / "docs" / "station.md").read_text()
    (program,) = re.findall(r"python3 - <<'END'\n(import sqlite3\n.*?)\nEND", guide, re.DOTALL)
    outbox = Outbox(tmp_path, ["mqtt"])
    for kind in (UPDATE, FEEDBACK, ALARM):
        outbox.commit(Record(f"of {kind}", kind, "", {"kind": kind, "test": False}))
    outbox.close()
    ledger_path(tmp_path).parent.mkdir()
    ledger = Ledger(ledger_path(tmp_path), at(0))
    ledger.watch(["yard"], at(0))
    for place, cause in enumerate((Cause.MAINTENANCE, Cause.FROZEN)):
        blind(ledger, "yard", cause, place, place + 1)
    ledger.close(at(3))
    exec(program.replace("/var/lib/rarefault", str(tmp_path)), {})
    assert rows(tmp_path, "SELECT kind, sink FROM events JOIN deliveries USING (seq)") == [(ALARM, "mqtt")]
    assert rows(tmp_path, "SELECT count(*) FROM deliveries") == [(1,)]
    with closing(sqlite3.connect(ledger_path(tmp_path))) as base:
        assert base.execute("SELECT cause FROM blind").fetchall() == [("frozen",)]

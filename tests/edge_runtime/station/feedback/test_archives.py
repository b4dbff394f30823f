"""`edge-station feedback`: to a stick, over the sinks, each thing once, and the last in every queue."""

import base64
import io
import json
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("securesystemslib", reason="the extra `station` is not installed")

from edge_runtime.alerts.events import FEEDBACK, SAMPLE, Record
from edge_runtime.alerts.outbox import Outbox
from edge_runtime.alerts.settings import WebhookSection
from edge_runtime.alerts.sink import TAKEN
from edge_runtime.alerts.webhook_sink import WebhookSink
from edge_runtime.judgements.archive import CONTENT
from edge_runtime.judgements.records import Verdict, judge_event
from edge_runtime.judgements.store import Judgements
from edge_runtime.media.jpeg import encode_jpeg
from edge_runtime.station.cli import main
from tests.support.judged_events import alarm_document
from tests.support.webhook_receiver import SECRET, receiving

SETTINGS = """
[station]
name = "hill"
state_dir = "state"
[feedback]
send_bytes = 65536
"""
WEBHOOK = '[webhook]\nurl = "http://127.0.0.1:9/hook"\nsecret_file = "secret"\n'


class Site:
    """A station with three alarms, of which two are judged, and a sample."""

    def __init__(self, folder):
        self.folder, self.state = folder, folder / "state"
        (folder / "secret").write_bytes(SECRET)
        (folder / "secret").chmod(0o600)
        (folder / "station.toml").write_text(SETTINGS + WEBHOOK)
        self.state.mkdir()
        with closing(self.outbox()) as outbox, closing(Judgements(self.state)) as judgements:
            for number in range(4):
                document = alarm_document(number, kind="alarm" if number < 3 else SAMPLE)
                outbox.commit(Record(document["id"], document["kind"], "north", document, {"frame": jpeg(number)}))
                if number < 2:
                    judgements.add(judge_event(document, Verdict.WRONG, "anna", "operator"))

    def outbox(self):
        return Outbox(self.state, ["webhook"], unsent=(SAMPLE,))

    def feedback(self, *options):
        done = CliRunner().invoke(main, ["feedback", "--config", str(self.folder / "station.toml"), *options])
        assert done.exit_code == 0, done.output
        return done.output


def jpeg(number):
    return encode_jpeg(np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8))


def content(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = json.loads(archive.read(CONTENT))
    return [entry["event"] for entry in found["entries"]], [example["event"] for example in found["examples"]]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_a_stick_takes_judgements_their_frames_and_hard_examples_and_each_of_them_once(site, tmp_path):
    path = tmp_path / "stick" / "feedback" / site.feedback("--out", str(tmp_path / "stick")).strip().split("/")[-1]
    assert content(path.read_bytes()) == (["event-0", "event-1"], ["event-0", "event-1", "event-3"])
    assert "nothing waits" in site.feedback("--out", str(tmp_path / "stick"))
    with closing(Judgements(site.state)) as judgements:
        judgements.undo("anna")
    undone = site.feedback("--out", str(tmp_path / "stick")).strip()
    with zipfile.ZipFile(undone) as archive:
        (entry,) = json.loads(archive.read(CONTENT))["entries"]
    assert set(entry) == {"id", "undoes"}


def test_the_picture_of_an_event_is_not_missed_where_its_judgement_has_left_alone(site, tmp_path):
    with closing(Judgements(site.state)) as judgements:
        judgements.note_departed("hill-1.zip", [entry.id for entry in judgements.waiting()])
    path = site.feedback("--out", str(tmp_path)).strip()
    with zipfile.ZipFile(path) as archive:
        assert len([name for name in archive.namelist() if name.startswith("pictures/")]) == 3


def test_the_sinks_get_an_archive_behind_everything_else_and_it_makes_room_once_all_have_it(site):
    assert "2 judgements, 3 pictures; 0 wait" in site.feedback("--send")
    assert "on its way" in site.feedback("--send")
    with receiving() as receiver, closing(site.outbox()) as outbox:
        section = WebhookSection(f"http://127.0.0.1:{receiver.port}/hook?site=7", secret_file=site.folder / "secret")
        sink, kinds = WebhookSink(section), []
        while (entry := outbox.next("webhook")) is not None:
            assert sink.send(entry) == TAKEN
            outbox.delivered("webhook", entry.seq)
            kinds.append(entry.kind)
        assert kinds == ["alarm", "alarm", "alarm", FEEDBACK]
        event = receiver.accepted[-1]
        data = base64.b64decode(event["pictures"]["archive"]["data"])
        assert content(data)[0] == ["event-0", "event-1"]
        assert event["feedback"]["bytes"] == len(data) <= 65536
        assert list((site.state / "feedback").glob("*.zip")) == []


def test_an_archive_on_its_way_is_seen_behind_many_that_have_arrived(site, tmp_path):
    with closing(site.outbox()) as outbox:
        for number in range(100):
            outbox.commit(Record(f"arrived-{number}", FEEDBACK, "", {"id": f"arrived-{number}", "kind": FEEDBACK}, {}))
    site.feedback("--send")
    assert "on its way" in site.feedback("--send")
    assert Path(site.feedback("--out", str(tmp_path)).strip()).exists()


def test_an_archive_that_waits_for_a_sink_goes_along_on_a_stick(site, tmp_path):
    site.feedback("--send")
    path = Path(site.feedback("--out", str(tmp_path)).strip())
    assert content(path.read_bytes())[0] == ["event-0", "event-1"]


def test_hard_examples_that_travel_as_events_are_in_no_archive(site, tmp_path):
    (site.folder / "station.toml").write_text(SETTINGS + WEBHOOK + "[samples]\nsend = true\n")
    path = Path(site.feedback("--out", str(tmp_path)).strip())
    assert content(path.read_bytes())[1] == ["event-0", "event-1"]


@pytest.mark.parametrize("options", [[], ["--send", "--out", "x"]])
def test_where_to_has_to_be_said(site, options):
    done = CliRunner().invoke(main, ["feedback", "--config", str(site.folder / "station.toml"), *options])
    assert done.exit_code == 1
    assert "either --out FOLDER" in done.output


def test_a_station_without_sinks_sends_nothing(site):
    (site.folder / "station.toml").write_text(SETTINGS)
    done = CliRunner().invoke(main, ["feedback", "--config", str(site.folder / "station.toml"), "--send"])
    assert done.exit_code == 1
    assert "write files with --out" in done.output

"""`edge-station events`, beside a service that has the outbox open."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_runtime.alerts.events import Reporter
from edge_runtime.alerts.votes import Change
from edge_runtime.bundle.store import open_bundle
from edge_runtime.clock import Moment
from edge_runtime.station.cli import main
from edge_runtime.station.open_outbox import open_outbox
from edge_runtime.station.settings import load_station_settings
from tests.support.sample_events import judged_view

SETTINGS = '[station]\nname = "north-7"\nstate_dir = "state"\n[mqtt]\nhost = "b"\n[webhook]\nurl = "http://h/"\n'
MOMENT = Moment("2026-11-23T02:10:00.000Z", "2026-11-23T02:10:04.000Z", "free")


@pytest.fixture
def config(tmp_path: Path, packed: Path):
    path = tmp_path / "station.toml"
    path.write_text(SETTINGS)
    outbox = open_outbox(load_station_settings(path))
    reporter = Reporter("north-7", open_bundle(packed))
    for test in (False, True):
        outbox.commit(reporter.alarm(judged_view((0, 0, 255), test=test), Change("rust", True, 2, 3, 2), MOMENT))
    first = outbox.next("mqtt").seq
    outbox.delivered("mqtt", first)
    outbox.park("webhook", first, "the webhook answered 422")
    yield path
    outbox.close()


def events(config: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["events", "--config", str(config), *options])


def test_events_are_listed_with_what_became_of_them(config):
    done = events(config)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "2026-11-23T02:10:00.000Z (free)  yard  rust 0.96  mqtt delivered, "
        "webhook parked (the webhook answered 422)  <-- not everybody has it",
        "2026-11-23T02:10:00.000Z (free)  yard  rust 0.96  TEST  mqtt pending, webhook pending"
        "  <-- not everybody has it",
    ]


def test_whole_documents(config):
    (newest,) = [json.loads(line) for line in events(config, "--jsonl", "--limit", "1").output.splitlines()]
    assert newest["test"] is True
    assert newest["deliveries"]["mqtt"] == {"state": "pending", "reason": ""}
    assert newest["pictures_kept"] == ["frame", "heatmap"]


def test_a_sample_is_offered_to_nobody_unless_the_settings_say_so(config, packed):
    for more, told in (("", "kept here"), ("[samples]\nsend = true\n", "mqtt pending, webhook pending")):
        config.write_text(SETTINGS + more)
        outbox = open_outbox(load_station_settings(config))
        outbox.commit(Reporter("north-7", open_bundle(packed)).sample(judged_view((0, 0, 255)), "rare", MOMENT))
        outbox.close()
        assert told in events(config, "--kind", "sample", "--limit", "1").output


def test_what_was_parked_can_be_sent_once_more(config):
    done = events(config, "--retry-parked")
    assert "1 deliveries are sent once more" in done.stderr
    assert "webhook pending" in done.stdout.splitlines()[0]


def test_bad_settings_are_one_sentence(tmp_path):
    done = events(tmp_path / "absent.toml")
    assert done.exit_code == 1
    assert "absent.toml cannot be read" in done.output

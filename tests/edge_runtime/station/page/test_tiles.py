"""What a live tile shows: the newest picture while it is one, else the cause."""

import threading
import time
from dataclasses import replace

import pytest

from edge_runtime.station.page.live_frames import LiveFrame
from edge_runtime.station.page.tiles import Tiles, drawn, summary, tile_of, too_old
from edge_runtime.web import texts
from tests.support.sample_events import judged_view, wait_until

T = texts.read("en")
ABOUT = {
    "camera": "yard",
    "region": "",
    "label": "rust",
    "flagged": True,
    "probability": 0.93,
    "threshold": 0.4,
    "captured": "2026-11-23T02:10:00.000Z",
    "captured_monotonic": 100.0,
    "limit": 8.0,
}
ONLINE = {"cameras": {"yard": {"status": "online", "cause": ""}}}
FROZEN = {
    "cameras": {"yard": {"status": "not_evaluated", "cause": "frozen"}},
    "since": {"yard": "2026-11-23T02:10:00.000Z"},
}
BROKEN = {"cameras": {"yard": {"status": "offline", "cause": "misconfigured", "problem": "the port is none"}}}
WORKED_ON = {
    "cameras": {
        "yard": {"status": "maintenance", "cause": "maintenance", "until": "2026-11-23T05:00:00.000Z", "by": "anna"}
    }
}


def tile(told, about=ABOUT, now=101.0):
    return tile_of(T, 0, ("yard", ""), told, about and (7, about), now)


def test_a_picture_that_shows_a_fault_is_told_with_its_label_and_chance():
    shown = tile(ONLINE)
    assert (shown.state, shown.short, shown.number, shown.chance) == ("bad", "rust", 7, "93 %")
    assert tile(ONLINE, {**ABOUT, "flagged": False}).state == "ok"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "Not evaluated: the service does not answer"),
        ({"cameras": {}}, "Not evaluated: the service does not answer"),
        (BROKEN, "Not evaluated: misconfigured"),
    ],
)
def test_without_a_verdict_there_is_no_picture_but_the_cause(told, words):
    shown = tile(told)
    assert (shown.state, shown.words, shown.number) == ("off", words, 0)


def test_a_frozen_camera_says_since_when_and_what_to_do():
    shown = tile(FROZEN)
    assert shown.words.startswith("Not evaluated: frozen since 2026-11-23 ")
    assert shown.detail == "the camera repeats one picture; restart it"
    assert tile(BROKEN).detail == "the port is none"


def test_an_old_picture_never_poses_as_live():
    assert tile(ONLINE, now=108.0).number == 7
    shown = tile(ONLINE, now=108.1)
    assert (shown.state, shown.number, shown.words) == ("off", 0, "Waiting for a new picture")
    assert too_old(ABOUT, 108.1)
    assert tile(ONLINE, None).number == 0


def test_a_camera_under_maintenance_is_shown_and_told_apart():
    shown = tile(WORKED_ON)
    assert (shown.state, shown.number) == ("note", 7)
    assert "Maintenance until" in shown.short
    assert "anna" in shown.short
    assert (tile(WORKED_ON, now=200.0).state, tile(WORKED_ON, now=200.0).number) == ("note", 0)


def test_pictures_are_given_out_while_they_are_new(over):
    client, _ = over.client("wall")
    frame = over.desk.frames.read(0)
    assert client.get("/live/0.jpg").status_code == 204  # captured when the machine started
    over.desk.frames.write(0, frame.picture, frame.map, {**frame.about, "captured_monotonic": time.monotonic()})
    plain, heat = client.get("/live/0.jpg"), client.get("/live/0.jpg?map=1")
    assert plain.headers["content-type"] == heat.headers["content-type"] == "image/jpeg"
    assert plain.content != heat.content
    assert client.get("/live/1.jpg").status_code == 204  # none yet
    for slot in ("2", "-1", "x", "9" * 40):
        assert client.get(f"/live/{slot}.jpg").status_code == 404


def test_a_map_is_drawn_over_the_picture(colours):
    from edge_runtime.bundle.store import open_bundle

    view = judged_view((0, 0, 255))
    spec = open_bundle(colours).manifest.input.to_json()
    frame = LiveFrame(1, view.image, view.evaluation.cams["rust"], {"input": spec, "full_heat": None})
    assert drawn(frame, True) != drawn(frame, False)


def test_the_stream_has_a_fresh_value_while_somebody_looks_and_nothing_is_asked_else(over):
    tiles, stop = Tiles(over.desk), threading.Event()
    assert [one["camera"] for one in tiles.value()["tiles"]] == ["yard", "north"]
    assert tiles.value()["newest"] == 4
    published: list[object] = []
    over.desk.live.publish = published.append
    thread = threading.Thread(target=tiles.publish, args=(stop,))
    thread.start()
    try:
        thread.join(1.5)
        assert published == []
        over.desk.live._viewers[object()] = None
        wait_until(lambda: published, 20)
        damaged = over.settings.station.state_dir / "outbox.sqlite3"
        damaged.write_bytes(b"no database " * 100)
        over.desk.service.read = lambda: 1 // 0  # a bug that nobody foresaw
        del published[:]
        thread.join(1.5)
        assert published == []
        del over.desk.service.read  # what failed does not end the looks, and a damaged outbox fails none
        wait_until(lambda: published, 20)
        assert published[0]["newest"] == 4
    finally:
        over.desk.live._viewers.clear()
        stop.set()
        thread.join(10)


def test_tiles_go_on_where_the_outbox_cannot_be_read(over):
    assert Tiles(over.desk).value()["newest"] == 4
    (over.settings.station.state_dir / "outbox.sqlite3").write_bytes(b"no database" * 400)
    assert [one["camera"] for one in Tiles(over.desk).value()["tiles"]] == ["yard", "north"]


def test_a_page_that_was_started_by_hand_says_why_it_has_no_pictures(over):
    over.desk.frames = None
    client, _ = over.client("wall")
    assert "This page was started by hand" in client.get("/").text
    assert client.get("/live/0.jpg").status_code == 404


def test_without_a_service_every_tile_is_grey_and_alarms_are_listed(over):
    client, _ = over.client("wall")
    page = client.get("/").text
    assert page.count("<p data-words>Not evaluated: the service does not answer") == 2
    assert "The service does not answer" in page
    assert "No alarm in the last 24 hours" in client.get("/live/alarms").text  # all are older


def test_the_line_above_the_tiles_counts_what_is_wrong_first():
    tiles = [tile(ONLINE, {**ABOUT, "flagged": False}), tile(FROZEN), tile(WORKED_ON), tile(ONLINE), tile(ONLINE, None)]
    tiles = [replace(one, slot=slot) for slot, one in enumerate([*tiles, tiles[3]])]
    assert [(one["state"], one["words"], one["slot"]) for one in summary(T, tiles)] == [
        ("bad", "2 faults seen", 3),
        ("warn", "1 not evaluated", 1),
        ("note", "1 under maintenance", 2),
        ("off", "1 waits for a picture", 4),
        ("ok", "1 without fault", 0),
    ]
    assert summary(T, []) == []

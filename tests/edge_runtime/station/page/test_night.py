"""The night's page: what was watched, what persons said, what each camera can see."""

import json
import re
import time

import pytest

from edge_runtime.bundle.store import open_bundle
from edge_runtime.causes import Cause
from edge_runtime.clock import Instant, instant, iso
from edge_runtime.judgements.records import Verdict, judge_event
from edge_runtime.station.page.night import NightPage, smallest_pixels, smallest_seen, view_sizes
from edge_runtime.station.page.service_status import ServiceStatus
from edge_runtime.station.scores.drift import FILE, FOLDER, MEASURES
from edge_runtime.watchlog.ledger import Ledger
from edge_runtime.watchlog.ledger_query import ledger_path
from tests.support import spot_bundle
from tests.support.judged_events import alarm_document
from tests.support.station_page import page_over_state

NOW = time.time()


@pytest.fixture
def night(tmp_path, colours):
    """A night with two alarms, one judged wrong; yard was frozen for half an hour and maintained for a quarter."""
    alarms = [{"camera": "yard", "label": label, "time": iso(NOW - 600)} for label in ("rust", "leak", "rust")]
    with page_over_state(tmp_path, colours, alarms) as over:
        state, now = over.settings.station.state_dir, instant()

        def at(minutes: float) -> Instant:
            return Instant(now.monotonic - minutes * 60, now.wall - minutes * 60)

        ledger_path(state).parent.mkdir()
        ledger = Ledger(ledger_path(state), at(120))
        ledger.watch(["yard", "north"], at(120))
        ledger.note({"yard": (Cause.FROZEN, at(90).monotonic), "north": (None, at(120).monotonic)}, at(90))
        ledger.note({"yard": (Cause.MAINTENANCE, at(60).monotonic)}, at(60))
        ledger.note({"yard": (None, at(45).monotonic)}, at(45))
        ledger.close(now)
        document = alarm_document(0, camera="yard", label="rust", time=alarms[0]["time"])
        over.desk.judgements.add(judge_event(document, Verdict.WRONG, "anna", "operator"))
        yield over


def test_the_page_tells_covered_time_with_maintenance_apart(night):
    page = night.client("wall")[0].get("/night").text
    for words in ("71.4 %", "frozen", "30 min 0 s", "maintenance", "15 min 0 s", "of 1 judged", "0 of 1"):
        assert words in page, words  # yard: 75 of 105 minutes
    assert page.count("<title>frozen") == 1


def test_precision_is_told_week_by_week(over):
    for number, wall in enumerate((NOW, NOW - 7 * 86400)):
        document = alarm_document(number, camera="yard", label="rust", time=iso(wall))
        over.desk.judgements.add(judge_event(document, list(Verdict)[number], "anna", "operator"))
    page = over.client("wall")[0].get("/night").text
    assert re.search(r"Week by week: \d{4}-W\d\d 0 %, \d{4}-W\d\d 100 %", page)
    assert "1 of 2" in page


def test_alarms_are_counted_by_label_with_what_was_said_so_far(night):
    found = NightPage(night.desk)._alarms(NOW - 3600, NOW)
    assert (found["all"], found["open"], found["false"], found["right"]) == (3, 2, 1, 0)
    assert found["labels"] == [("rust", 2), ("leak", 1)]


@pytest.mark.parametrize(("period", "status"), [("12h", 200), ("7d", 200), ("", 200), ("1y", 400)])
def test_a_period_is_one_of_a_few(night, period, status):
    assert night.client("wall")[0].get(f"/night?period={period}").status_code == status


def test_a_station_that_never_ran_has_a_page_too(over):
    page = over.client("wall")[0].get("/night").text
    assert "Nothing is recorded of this time" in page
    assert "watched all the time" not in page
    assert "Nothing is learned yet" in page
    assert "colours 1" in page


def test_the_smallest_fault_is_told_in_pixels_of_each_camera(tmp_path):
    bundle = spot_bundle.make_bundle(tmp_path / "bundle")
    manifest = open_bundle(bundle).manifest
    # 4 pixels of a canvas 32 wide and 16 high are four times as many of a frame that is shrunk to a quarter
    assert smallest_pixels(manifest, manifest.smallest_fault, 64, 128) == 16
    assert smallest_pixels(manifest, manifest.smallest_fault, 64, 64) == 16  # letterboxed
    (tmp_path / "page").mkdir()
    with page_over_state(tmp_path / "page", bundle, []) as over:
        assert view_sizes(over.desk, "yard") == {"": (48, 64)}
        assert smallest_seen(over.desk, "yard") == "12 px (25 %)"
        assert smallest_seen(over.desk, "north") == "known with the first picture"


def test_a_model_without_that_figure_has_none(over):
    assert smallest_seen(over.desk, "yard") == "not measured by this model"


def test_a_camera_that_drifts_is_told(over):
    left = {"brightness": {"left": 490_000, "side": -1}}
    series = [
        {"measure": name, "learned": [], "recent": [], "left": None, "side": 0, **left.get(name, {})}
        for name in MEASURES
    ]
    views = [{"camera": "yard", "region": "", "series": series}]
    path = over.settings.station.state_dir / FOLDER / FILE
    path.parent.mkdir()
    path.write_text(json.dumps({"schema": "rarefault/drift", "version": 1, "model": "c" * 64, "views": views}))
    assert "the picture is darker" in over.client("wall")[0].get("/night").text


def test_a_service_without_a_model_that_can_serve_has_a_page_too(over):
    update = {"slot": "", "stage": "failed", "since": iso(NOW), "reason": "content", "detail": "it is no model"}
    told = {"cameras": {}, "model": None, "update": update}  # what `without_model` answers
    over.desk.service = ServiceStatus(lambda: told)
    page = over.client("wall", raise_bugs=True)[0].get("/night").text
    assert "it is no model" in page

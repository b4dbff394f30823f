"""The slider: alarms that there would have been, from stored scores."""

import json
import re
import time

import pytest

from edge_runtime.clock import Instant, iso
from edge_runtime.judgements.records import Verdict, judge_event
from edge_runtime.station.scores.score_store import ScoreWriter
from tests.support.judged_events import alarm_document
from tests.support.scored_views import MODEL, rules_of, rust, scored_view


@pytest.fixture
def scored(over):
    """Rust is seen at 60 % for three frames in a row, then at 90 %; the threshold in force is 40 %."""
    rules = rules_of(("yard", "north"))
    views = [("yard", ""), ("north", "")]
    writer = ScoreWriter(over.settings.station.state_dir, 1 << 30, MODEL, rules, views)
    began = time.monotonic() - 60
    for second, chance in enumerate([0.01, 0.6, 0.6, 0.6, 0.01, 0.01, 0.01, 0.01]):
        writer.note([scored_view(rules["yard"].decision, rust(chance), began + second)])
    for second, chance in enumerate([0.01, 0.9, 0.9, 0.9]):
        writer.note([scored_view(rules["north"].decision, rust(chance), began + 30 + second, camera="north")])
    writer.close()
    return over


def counts(page: str) -> dict[float, int]:
    content = json.loads(re.search(r'id="counts">(.*?)</script>', page)[1])
    return {point["threshold"]: point["alarms"] for point in content["points"]}


def test_each_threshold_is_shown_with_its_alarms_and_the_one_in_force(scored):
    page = scored.client("wall")[0].get("/thresholds?label=rust").text
    found = counts(page)
    assert (found[0.4], found[0.7], found[0.98]) == (2, 1, 0)
    assert "in force: 0.40" in page


def test_one_camera_alone_can_be_asked_for(scored):
    found = counts(scored.client("wall")[0].get("/thresholds?label=rust&camera=yard").text)
    assert (found[0.4], found[0.7]) == (1, 0)


def test_judged_alarms_say_how_many_right_ones_would_be_lost(scored):
    raised = iso(time.time() - 60 + 2)  # with the second of two frames in need
    document = alarm_document(7, camera="yard", label="rust", time=raised)
    scored.desk.judgements.add(judge_event(document, Verdict.RIGHT, "anna", "operator"))
    page = scored.client("wall")[0].get("/thresholds?label=rust").text
    points = json.loads(re.search(r'id="counts">(.*?)</script>', page)[1])["points"]
    assert [(point["right"], point["wrong"]) for point in points if point["threshold"] in (0.4, 0.7)] == [
        (1, 0),
        (0, 0),
    ]


def test_without_scores_the_page_says_so(over):
    assert "No scores are stored for this choice" in over.client("wall")[0].get("/thresholds").text


@pytest.mark.parametrize("query", ["label=lion", "camera=lion", "period=1y"])
def test_what_there_is_not_is_refused(over, query):
    assert over.client("wall")[0].get(f"/thresholds?{query}").status_code == 400


def test_scores_that_a_wrong_clock_has_dated_later_than_now_are_of_no_night(scored, monkeypatch):
    rules = rules_of(("yard",), thresholds={"rust": 0.9})
    monkeypatch.setattr(
        "edge_runtime.station.scores.score_store.instant", lambda _: Instant(0.0, time.time() + 365 * 86400)
    )
    monkeypatch.setattr("edge_runtime.station.scores.score_store.iso", lambda wall: iso(wall + 365 * 86400))
    writer = ScoreWriter(scored.settings.station.state_dir, 1 << 30, MODEL, rules, [("yard", "")])
    for second in range(4):
        writer.note([scored_view(rules["yard"].decision, rust(0.95), 1000.0 + second)])
    writer.close()
    page = scored.client("wall")[0].get("/thresholds?label=rust").text
    assert counts(page)[0.4] == 2
    assert "in force: 0.40" in page

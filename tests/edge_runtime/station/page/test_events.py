"""The list of events with its filters, one event, and its pictures."""

import re

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.judgements.records import Verdict, judge_event
from edge_runtime.station.page.events import Filter
from tests.edge_runtime.station.page.conftest import ALARMS
from tests.support.judged_events import alarm_document
from tests.support.station_page import page_over_state


@pytest.fixture(scope="module")
def read(tmp_path_factory, colours):
    """The page, for tests that do not change what is kept: event-0 is judged wrong."""
    with page_over_state(tmp_path_factory.mktemp("read"), colours, ALARMS) as served:
        served.desk.judgements.add(judge_event(alarm_document(0, label="rust"), Verdict.WRONG, "anna", "operator"))
        yield served


@pytest.fixture(scope="module")
def viewer(read):
    return read.client("wall")[0]


def listed(page: str) -> list[str]:
    return re.findall(r'<li data-id="([^"]+)"', page)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["event-3", "event-1", "event-0"]),
        ("?tests=1", ["event-3", "event-2", "event-1", "event-0"]),
        ("?camera=yard", ["event-3", "event-0"]),
        ("?label=leak", ["event-1"]),
        ("?since=2026-11-23T02:30&until=2026-11-23T04:00", ["event-1"]),
        ("?judged=open", ["event-3", "event-1"]),
        ("?judged=judged", ["event-0"]),
        ("?judged=wrong", ["event-0"]),
        ("?judged=right", []),
        ("?before=2", ["event-0"]),
        ("?period=12h&camera=nobody", []),
    ],
)
def test_a_filter_leaves_out_what_does_not_fit(viewer, query, found):
    assert listed(viewer.get(f"/events{query}").text) == found


@pytest.mark.parametrize("query", ["period=1y", "judged=perhaps", "before=x", "since=yesterday", f"before={'9' * 30}"])
def test_a_filter_that_cannot_be_one_is_told(viewer, query):
    assert viewer.get(f"/events?{query}").status_code == 400


def test_a_filter_keeps_itself_in_the_addresses_of_the_list(viewer):
    page = viewer.get("/events?camera=yard&tests=1").text
    assert 'href="/events/event-3?camera=yard&amp;tests=1"' in page
    assert Filter(camera="yard", label="a&b").query(before="7") == "camera=yard&label=a%26b&before=7"


def test_one_event_tells_all_that_is_known_of_it(over):
    viewer = over.client("wall")[0]
    over.desk.judgements.add(judge_event(alarm_document(1, label="leak"), Verdict.RIGHT, "anna", "operator"))
    over.desk.judgements.add(
        judge_event(alarm_document(1, label="leak"), Verdict.OTHER, "bert", "operator", "rust", note="a <b>stain</b>")
    )
    over.desk.attention.acknowledge("event-1", "anna")
    page = viewer.get("/events/event-1").text
    for words in (
        "leak: not supported",
        "3 of the last 5 frames, 3 are needed",
        "91 % against a threshold of 50 %",
        "Two people have judged this differently.",
        "Other class: rust",
        "a &lt;b&gt;stain&lt;/b&gt;",
        "mqtt: waits",
        "anna",
        "bert",
        "a" * 12,
    ):
        assert words in page, words
    assert "Snoozed" in viewer.get("/events/event-3").text


def test_a_viewer_sees_no_buttons_that_judge_and_an_operator_none_for_a_test(read, viewer):
    assert "data-verdict" not in viewer.get("/events/event-0").text
    operator, _ = read.client("anna")
    assert "data-verdict" in operator.get("/events/event-0").text
    assert "data-verdict" not in operator.get("/events/event-2?tests=1").text


def test_the_script_gets_the_event_or_its_row_alone(viewer):
    part = viewer.get("/events/event-0?part=1").text
    assert 'data-event="event-0"' in part
    assert "<html" not in part
    row = viewer.get("/events/event-0?row=1").text
    assert listed(row) == ["event-0"]
    assert "<html" not in row


@pytest.mark.parametrize("name", ["frame", "heatmap", "thumb"])
def test_pictures_of_an_event_are_given_out_and_no_others(viewer, name):
    answer = viewer.get(f"/events/event-0/{name}.jpg")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert viewer.get(f"/events/nobody/{name}.jpg").status_code == 404
    assert viewer.get("/events/event-0/other.jpg").status_code == 404


def test_a_picture_that_is_no_longer_kept_leaves_the_event(over):
    viewer = over.client("wall")[0]
    for path in over.settings.station.state_dir.glob("evidence/*"):
        path.unlink()
    assert "The picture is no longer kept" in viewer.get("/events/event-0").text
    assert viewer.get("/events/event-0/frame.jpg").status_code == 404
    assert viewer.get("/events/event-1/thumb.jpg").status_code == 404


def test_an_empty_list_says_whether_the_filter_is_the_cause(over):
    viewer = over.client("wall")[0]
    assert "No event fits this filter" in viewer.get("/events?camera=nobody").text
    for path in over.settings.station.state_dir.glob("outbox*"):
        path.unlink()
    assert "No event yet" in viewer.get("/events").text


def test_before_has_to_be_a_number():
    from starlette.datastructures import QueryParams

    with pytest.raises(InputError, match="before is no number"):
        Filter.of(QueryParams("before=-1"))


def test_a_list_that_stays_open_learns_of_a_newer_alarm(viewer):
    told = viewer.get("/events/newest").json()
    assert f'data-newest="{told["newest"]}"' in viewer.get("/events").text
    assert (told["state"], told["words"]) == ("bad", "The service does not answer")

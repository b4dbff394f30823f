"""What the pages share: the header, times and numbers as a person reads them, what forms hold."""

import time

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.station.page.desk import hours_of, percent, shown_time, text_of, wall_of, whole_of


def told(**statuses: str):
    return {"cameras": {name: {"status": status} for name, status in statuses.items()}}


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (told(), "warn", "0 of 0 watched"),
        ({}, "bad", "The service does not answer"),
        (told(yard="online", north="online"), "ok", "2 of 2 watched"),
        (told(yard="online", north="offline"), "warn", "1 of 2 watched"),
        (told(yard="online", north="maintenance"), "ok", "1 of 2 watched"),
        ({**told(yard="online"), "disk": "it is full"}, "warn", "1 of 1 watched"),
    ],
)
def test_the_header_says_how_many_cameras_are_watched(over, answer, state, words):
    over.desk.service._ask = lambda: answer
    head = over.desk.head()
    assert (head.state, head.state_text) == (state, words)


def test_labels_are_those_of_the_model_and_of_earlier_events(over):
    assert over.desk.labels() == ["normal", "rust", "leak"]


def test_a_camera_that_there_is_not_is_told_with_those_that_are(over):
    with pytest.raises(InputError, match="known are yard, north"):
        over.desk.camera("hall")


def test_a_time_of_today_is_short_and_another_has_its_day():
    assert shown_time(time.time()) == time.strftime("%H:%M")
    assert shown_time(0.0, seconds=True).startswith(("1970-01-01 ", "1969-12-31 "))
    assert shown_time(None) == ""


def test_times_are_read_and_what_is_none_is_none():
    assert wall_of("1970-01-01T00:00:10.000Z") == 10.0
    assert [wall_of(text) for text in ("", "x", "9999999-01-01", "0001-01-01T00:00")][:3] == [None, None, None]


@pytest.mark.parametrize(("share", "words"), [(0.999, "99 %"), (1.0, "100 %"), (0.29, "29 %"), (None, "")])
def test_a_share_is_never_rounded_up(share, words):
    assert percent(share) == words


@pytest.mark.parametrize("text", ["", "-1", "1.5", "x", "²", "9" * 16])
def test_a_number_in_an_address_is_plain_digits(text):
    assert whole_of(text) is None
    assert whole_of("17") == 17


@pytest.mark.parametrize("hours", [None, "", "x", 0, -1, "nan", "inf", [], 1e9])
def test_hours_are_a_number_above_nothing(hours):
    with pytest.raises(InputError, match="hours"):
        hours_of({"hours": hours})
    assert hours_of({"hours": "1.5"}) == 1.5


def test_a_text_can_be_shown():
    assert text_of({"note": "a\nb"}, "note") == "a\nb"
    for bad in (7, "\x00", "\ud800"):
        with pytest.raises(InputError, match="note"):
            text_of({"note": bad}, "note")

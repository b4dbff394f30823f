"""[updates]: what is accepted, what is refused, and when nothing is downloaded."""

from datetime import time

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.settings_reader import build
from edge_runtime.updates.settings import UpdatesSection


def test_defaults_fetch_nothing_over_a_link():
    section = build(UpdatesSection, {}, "updates")
    assert section.url == ""
    assert section.group == "all"
    assert not section.is_quiet(time(12, 0))


@pytest.mark.parametrize("url", ["https://hq.example/models", "file:///mnt/models", "models", "/srv/models"])
def test_a_repository_may_be_a_server_or_a_folder(url):
    assert build(UpdatesSection, {"url": url}, "updates").url == url


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"url": "ftp://hq.example/models"}, "url is of no known kind, expected https"),
        ({"url": "https://"}, "url is of no known kind"),
        ({"group": "a b"}, "the group of stations is called 'a b'"),
        ({"quiet": "6-18"}, "quiet is '6-18', expected a span of local time like 06:00-18:00"),
        ({"quiet": "06:00-06:00"}, "a span without a length"),
        ({"shadow_share": 0}, "shadow_frames is set, but shadow_share is 0"),
        ({"shadow_share": 1.5}, "updates.shadow_share is 1.5, expected 0.0 to 1|expected 0 to 1"),
        ({"grup": "all"}, "updates.grup is unknown; did you mean group"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(content, sentence):
    with pytest.raises(InputError, match=sentence):
        build(UpdatesSection, content, "updates")


def test_quiet_hours_may_go_over_midnight():
    day, night = UpdatesSection(quiet="06:00-18:00"), UpdatesSection(quiet="22:00-05:30")
    assert [day.is_quiet(time(hour)) for hour in (5, 6, 17, 18)] == [False, True, True, False]
    assert [night.is_quiet(time(hour)) for hour in (21, 22, 0, 5, 6)] == [False, True, True, True, False]

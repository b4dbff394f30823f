"""The report of a night on hand numbers: as a line, as JSON, as a page."""

import html.parser
import json
import time

import pytest

from edge_runtime.causes import Cause
from edge_runtime.watchlog.ledger import Ledger
from edge_runtime.watchlog.report import log_line, to_html, to_json, watched_share
from tests.support.ledger_nights import MIDNIGHT, at, blind


@pytest.fixture(autouse=True)
def _universal_time(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_night_in_one_line(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["yard-1", "yard-2", "yard-3"], at(0))
    blind(ledger, "yard-3", Cause.FROZEN, 2 + 10 / 60, 3 + 40 / 60)
    blind(ledger, "yard-1", Cause.STALLED, 5, 5 + 6 / 60)
    night = ledger.night(8 * 3600, at(8))
    assert watched_share(night) == pytest.approx(1 - 1.6 / 24)
    assert log_line(night) == (
        "watched 93.3 % of camera time; yard-3 blind 02:10-03:40 (frozen); yard-1 blind 05:00-05:06 (stalled)"
    )
    document = json.loads(json.dumps(to_json(night)))
    assert document["cameras"]["yard-2"] == {
        "due_seconds": 28800.0,
        "watched_share": 1.0,
        "blind": [],
        "maintenance_seconds": 0,
        "maintenance": [],
    }
    assert document["cameras"]["yard-3"]["blind"] == [
        {"cause": "frozen", "began": MIDNIGHT + 7800, "seconds": 5400.0, "estimated": False}
    ]
    ledger.close(at(8))


def test_maintenance_stands_apart_and_is_neither_watched_nor_blind(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["yard-1", "yard-2"], at(0))
    blind(ledger, "yard-1", Cause.MAINTENANCE, 1, 5)
    blind(ledger, "yard-1", Cause.FROZEN, 6, 7)
    ledger.note({"yard-2": (Cause.MAINTENANCE, at(0).monotonic)}, at(0))
    night = ledger.night(8 * 3600, at(8))
    assert (watched_share(night), watched_share(night, "yard-2")) == (pytest.approx(1 - 1 / 4), None)
    assert log_line(night) == (
        "watched 75.0 % of camera time; yard-1 blind 06:00-07:00 (frozen); "
        "yard-1 under maintenance for 4 h 0 min; yard-2 under maintenance for 8 h 0 min"
    )
    yard = json.loads(json.dumps(to_json(night)))["cameras"]["yard-1"]
    assert (yard["due_seconds"], yard["watched_share"], yard["maintenance_seconds"]) == (14400, 0.75, 14400)
    assert [entry["cause"] for entry in yard["blind"]] == ["frozen"]
    assert yard["maintenance"] == [
        {"cause": "maintenance", "began": MIDNIGHT + 3600, "seconds": 14400.0, "estimated": False}
    ]
    page = to_html(night, "north-7")
    assert '<span class="maintenance" style="left:12.50%;width:50.00%">' in page
    ledger.close(at(8))


def test_a_night_under_maintenance_alone_watched_nothing_and_was_blind_for_nothing(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["yard"], at(0))
    blind(ledger, "yard", Cause.MAINTENANCE, 0, 8)
    night = ledger.night(8 * 3600, at(8))
    assert log_line(night) == "watched nothing: no camera was due; yard under maintenance for 8 h 0 min"
    ledger.close(at(8))


class Balanced(html.parser.HTMLParser):
    """Every tag that opens closes."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "input"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def test_the_page_is_whole_and_names_are_escaped(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["<b>&yard"], at(0))
    blind(ledger, "<b>&yard", Cause.COVERED, 1, 2)
    page = to_html(ledger.night(4 * 3600, at(4)), "north & <south>")
    ledger.close(at(4))
    reader = Balanced()
    reader.feed(page)
    assert reader.stack == []
    assert "<b>" not in page
    assert "<south>" not in page
    assert "left:25.00%;width:25.00%" in page
    assert "75.0 %" in page


def test_almost_all_is_not_rounded_to_all(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["one"], at(0))
    blind(ledger, "one", Cause.COVERED, 1, 1 + 2 / 3600)
    assert log_line(ledger.night(8 * 3600, at(8))).startswith("watched 99.9 %")
    ledger.close(at(8))


@pytest.mark.parametrize(("width", "colours"), [(390, "light"), (1440, "dark")])
def test_the_page_of_the_night_in_a_browser(tmp_path, opened, width, colours):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["yard-with-a-rather-long-name", "gate"], at(1))
    blind(ledger, "gate", Cause.OVEREXPOSED, 2, 3)
    (tmp_path / "night.html").write_text(to_html(ledger.night(4 * 3600, at(4)), "north-7"))
    page = opened(tmp_path / "night.html", width, colours)
    bars = page.eval_on_selector_all(
        ".stretch span", "all => all.map(one => [one.className, one.style.left, one.style.width])"
    )
    watched = ["watched", "25%", "75%"]
    assert bars == [watched, ["blind", "50%", "25%"], watched]
    assert "1 of 2 cameras was blind for a time" in page.locator(".headline").inner_text()
    assert page.locator("main").bounding_box()["width"] > 0.95 * width

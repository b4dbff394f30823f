"""A station with everything on, in a real browser: service, page process, cameras on loopback, Chromium."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `station` is not installed")
pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.judgements.records import Verdict
from edge_runtime.judgements.store import Judgements
from edge_runtime.station.page.live_frames import LiveFrames
from tests.support.fake_mjpeg_camera import GREEN_FRAMES, RED_FRAMES, FaultServer, free_port
from tests.support.sample_events import wait_until
from tests.support.web_pages import PASSWORDS, write_users

SETTINGS = """
[station]
name = "north-7"
state_dir = "state"
bundle = "{bundle}"
engine = "cpu"
precision = "fp32"
test_alarm_hours = 0

[[camera]]
name = "yard"
url = "{yard}"
floor_rate = 5

[[camera]]
name = "gate"
url = "{gate}"
floor_rate = 5
frozen_seconds = 1

[decision]
cooldown = 0

[http]
port = {http}

[page]
users_file = "users.toml"
port = {page}
"""
SIZES = {"dark": (1440, 900), "light": (390, 844)}  # a desk in the control room, and a phone outside
PAGES = ("/", "/events", "/night", "/thresholds?label=rust", "/cameras")


class WholeStation:
    """`edge-station run` with a camera that is well, and one that is frozen; `log` is what it wrote."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder, self.yard, self.gate = folder, FaultServer(), FaultServer("freeze")
        self.yard.frames = GREEN_FRAMES
        self.yard.start()
        self.gate.start()
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        places = {"yard": self.yard.url(), "gate": self.gate.url(), "http": free_port(), "page": port}
        (folder / "station.toml").write_text(SETTINGS.format(bundle=bundle, **places))
        write_users(folder)
        command = [sys.executable, "-m", "edge_runtime.station", "run", "--config", str(folder / "station.toml")]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(lambda: "the page is at" in self.log() or self.process.poll() is not None)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.yard.stop()
        self.gate.stop()


@pytest.fixture(scope="module")
def station(tmp_path_factory: Any, colours: Path) -> Iterator[WholeStation]:
    with closing(WholeStation(tmp_path_factory.mktemp("whole"), colours)) as made:
        yield made


def log_in(page: Any, name: str) -> None:
    page.fill("#name", name)
    page.fill("#password", PASSWORDS[name])
    page.keyboard.press("Enter")


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """Every address that the browser asks for."""
    return []


@pytest.fixture(scope="module")
def page(browser: Any, station: WholeStation, asked: list[str]) -> Iterator[Any]:
    """A browser in which anna has logged in."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, bypass_csp=True)  # axe is a script
    opened = context.new_page()
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(f"{station.address}/events")
    log_in(opened, "anna")
    opened.wait_for_url(f"{station.address}/events")  # where she wanted to go
    yield opened
    context.close()


@pytest.fixture(scope="module")
def alarm(page: Any, station: WholeStation) -> None:
    """The yard has shown rust until an alarm was raised, which the page of live tiles has told without a reload."""
    page.goto(f"{station.address}/")
    page.wait_for_selector(".live[data-slot='0'][data-state='ok'] img:not([hidden])")
    station.yard.frames = RED_FRAMES
    page.wait_for_selector(".live[data-slot='0'][data-state='bad']")
    page.wait_for_selector("#alarms .event-row:has-text('rust')")


def verdicts(station: WholeStation) -> list[tuple[Verdict, str, str]]:
    with closing(Judgements(station.folder / "state")) as kept:
        return [(one.verdict, one.true_label, one.judge) for one in kept.judged_events().values()]


def test_live_tiles_show_what_is_judged_and_a_frozen_camera_is_grey(page, station):
    page.goto(f"{station.address}/")
    page.wait_for_selector(".live[data-slot='0'] img:not([hidden])")
    number = page.get_attribute(".live[data-slot='0']", "data-number")
    page.wait_for_function(f"document.querySelector('[data-slot=\"0\"]').dataset.number !== '{number}'")
    page.wait_for_function("document.querySelector('[data-slot=\"0\"] img').naturalWidth === 128")
    page.wait_for_selector(".live[data-slot='1'][data-state='off']")
    grey = page.locator(".live[data-slot='1']")
    assert re.search(r"Not evaluated: frozen since \d\d:\d\d", grey.inner_text())
    assert grey.locator("img").is_hidden()
    page.keyboard.press("m")
    page.wait_for_selector(".live[data-slot='0'] img[src*='map=1']")


def test_judging_goes_by_keys_and_can_be_taken_back(page, station, alarm):
    page.goto(f"{station.address}/events")
    page.wait_for_selector(".event[data-label='rust'] .judge")
    page.keyboard.press("m")
    page.wait_for_function("document.querySelector('.heat').naturalWidth > 0")
    page.keyboard.press("r")
    page.wait_for_selector(".toast:has-text('Judged: Right')")
    assert [found[::2] for found in verdicts(station)] == [(Verdict.RIGHT, "anna")]
    page.wait_for_selector("#list li[data-judged]")
    page.keyboard.press("u")
    page.wait_for_selector(".toast:has-text('Taken back')")
    assert verdicts(station) == []
    page.wait_for_selector("#list li:not([data-judged])")
    page.keyboard.press("o")
    page.wait_for_selector("dialog[open] .choices button")
    page.keyboard.press("2")
    page.wait_for_selector(".toast:has-text('Judged: Other class: leak')")
    assert verdicts(station) == [(Verdict.OTHER, "leak", "anna")]
    page.keyboard.press("a")
    page.wait_for_selector(".pill:has-text('Acknowledged')")
    page.keyboard.press("s")
    page.wait_for_selector("dialog[open] [data-hours]")
    page.keyboard.press("1")
    page.wait_for_selector(".hint:has-text('Snoozed until')")


def test_a_box_by_keys_and_mouse_is_kept_with_a_word_of_the_judge_s_own(page, station, alarm):
    page.goto(f"{station.address}/events")
    page.wait_for_selector(".event[data-label='rust'] .boxes[viewBox]")
    page.keyboard.press("b")
    page.keyboard.press("ArrowLeft")
    assert page.locator("[data-box-hint]").inner_text().startswith("Not kept yet")
    area = page.locator(".evidence").bounding_box()
    page.mouse.move(area["x"] + 8, area["y"] + 8)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] / 4, area["y"] + area["height"] / 2, steps=3)
    page.mouse.up()
    page.keyboard.press("o")
    page.fill("dialog[open] #word", "1 old nest")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast:has-text('Other class: 1 old nest, 2 boxes')")
    assert verdicts(station) == [(Verdict.OTHER, "1 old nest", "anna")]
    page.wait_for_function("document.querySelectorAll('.boxes .box').length === 2")
    page.wait_for_selector("[data-box-hint]:not(:has-text('Not kept'))")
    page.keyboard.press("u")
    page.wait_for_selector(".toast:has-text('Taken back')")
    assert page.locator(".toast button").count() == 0  # an older one would take back something else


def test_on_a_phone_a_notice_leaves_the_answers_free(page, station, alarm):
    page.goto(f"{station.address}/events")
    address = page.get_attribute(".event-row", "href")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{station.address}{address}")
    page.click("[data-verdict=unsure]")
    page.wait_for_selector(".toast:has-text('tell')")
    notice, answers = page.locator(".toast").bounding_box(), page.locator(".judge").bounding_box()
    assert notice["y"] + notice["height"] <= answers["y"]
    page.locator(".toast button").click()
    page.wait_for_selector(".toast:has-text('Taken back')")
    page.set_viewport_size({"width": 1440, "height": 900})


def test_a_filter_and_the_help_are_reached_by_keys(page, station, alarm):
    page.goto(f"{station.address}/events")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "camera"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert "Can't tell" in page.locator("dialog[open]").inner_text()
    page.keyboard.press("Escape")
    page.select_option("#camera", "gate")
    page.wait_for_url(f"{station.address}/events?camera=gate")
    page.wait_for_selector("text=No event fits this filter")


def test_a_camera_is_put_under_maintenance_and_the_night_tells_it_apart(page, station, alarm):
    page.goto(f"{station.address}/cameras")
    page.locator("section:has(h2:text-is('gate')) button:text-is('Begin')").click()
    page.wait_for_selector(".toast:has-text('gate is under maintenance until')")
    focus = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(focus) == "End the maintenance of gate"  # keys go on where they were
    page.goto(f"{station.address}/")
    page.wait_for_selector(".live[data-slot='1'][data-state='note']")
    page.goto(f"{station.address}/night")
    assert page.locator(".figure:has-text('alarms') strong").first.inner_text() == "1"
    assert "frozen" in page.locator("table").last.inner_text()
    page.goto(f"{station.address}/thresholds?label=rust")
    page.wait_for_selector("#slider")
    page.focus("#slider")
    page.keyboard.press("Home")
    assert page.locator("#sentence").inner_text().startswith("At 0.02 there would have been")


@pytest.mark.parametrize("colours_of", SIZES)
def test_every_page_fits_and_axe_finds_nothing(page, station, alarm, colours_of):
    from axe_playwright_python.sync_playwright import Axe

    width, height = SIZES[colours_of]
    page.emulate_media(color_scheme=colours_of)
    page.set_viewport_size({"width": width, "height": height})
    event = page.goto(f"{station.address}/events") and page.get_attribute("#list li", "data-id")
    for path in (*PAGES, f"/events/{event}"):
        page.goto(f"{station.address}{path}")
        page.wait_for_selector("main :is(h1, h2)", state="attached")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        found = Axe().run(page).response["violations"]
        assert [(path, one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    page.set_viewport_size({"width": 1440, "height": 900})


def test_a_viewer_may_look_and_has_nothing_that_judges(browser, station, alarm):
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    page.goto(f"{station.address}/events")
    log_in(page, "wall")
    page.wait_for_selector(".event")
    assert page.locator("[data-verdict]").count() == 0
    page.keyboard.press("r")
    assert page.locator(".toast").count() == 0
    page.evaluate("document.getElementById('fresh').dataset.newest = '0'")  # as if the list were older than the alarm
    page.clock.fast_forward(11_000)
    page.wait_for_selector("#fresh:has-text('An alarm has been raised since')")
    context.close()


def test_no_request_left_the_machine(page, station, asked):
    assert len(asked) > 50
    assert {address for address in asked if not address.startswith((f"{station.address}/", "data:"))} == set()


def test_the_page_shows_the_service_that_it_does_not_hang(station):
    handles = Path(f"/proc/{station.process.pid}/fd").iterdir()
    frames = LiveFrames(
        handle=os.open(next(path for path in handles if "live-frames" in str(path.readlink())), os.O_RDWR)
    )
    before = time.monotonic()
    wait_until(lambda: frames.last_alive() > before)
    frames.close()


def test_a_page_that_is_killed_comes_back_and_the_watch_goes_on(page, station):
    children = Path(f"/proc/{station.process.pid}/task/{station.process.pid}/children").read_text().split()
    (child,) = [pid for pid in children if b"--live-fd" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(int(child), signal.SIGKILL)
    wait_until(lambda: "the page ended with code -9" in station.log())
    wait_until(lambda: answers(f"{station.address}/login"))
    assert station.process.poll() is None
    page.goto(f"{station.address}/")  # sessions lie in the memory of the page
    log_in(page, "anna")
    page.wait_for_selector(".live[data-slot='0'] img:not([hidden])")


def test_when_the_service_is_killed_its_page_ends_and_nothing_poses_as_live(page, station):
    page.goto(f"{station.address}/")
    page.wait_for_selector(".live[data-slot='0'] img:not([hidden])")
    os.kill(station.process.pid, signal.SIGKILL)
    page.wait_for_selector("#connection:not([hidden])")
    page.wait_for_function("[...document.querySelectorAll('.live')].every(tile => tile.dataset.state === 'off')")
    assert page.locator(".live img:visible").count() == 0

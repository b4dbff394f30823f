"""What the station's page costs: `python -m benchmarks.page_load [--bundle DIR] [--events 10000] [--pairs 6]`.

Claims: with 10,000 events in the store a first page takes under 200 ms, and the memory of the page's process is flat
over 1,000 requests; five viewers of the live page (stream and pictures, as its script asks for them) cost the service
under 3 % of its frames, lost or delayed. Store, page, service and cameras are real and on this machine, so the
viewers' and the cameras' own work takes its share of the same cores.
"""

import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import click
import cv2
import numpy as np
import psutil

from edge_runtime.alerts.events import Record, Reporter
from edge_runtime.alerts.outbox import Outbox
from edge_runtime.alerts.votes import Change
from edge_runtime.bundle.store import open_bundle
from edge_runtime.clock import Moment, iso
from edge_runtime.judgements.records import Verdict, judge_event
from edge_runtime.judgements.store import Judgements
from edge_runtime.station.scores.score_store import ScoreWriter
from edge_runtime.web.accounts import hash_password
from tests.support.colour_bundle import RULE, make_bundle
from tests.support.fake_mjpeg_camera import FaultServer, free_port, jpeg
from tests.support.sample_events import judged_view, wait_until
from tests.support.scored_views import MODEL, rules_of, rust, scored_view

NAME, PASSWORD = "anna", "four words are easy"
LIMIT_MS, LIMIT_SHARE = 200.0, 0.03
SETTLE_SECONDS = 3.0  # after viewers came or went
LATE = "1.0"  # seconds; the bound of the histogram from which a verdict counts as delayed
SETTINGS = """
[station]
name = "load"
state_dir = "{folder}/state"
bundle = "{bundle}"
engine = "cpu"
test_alarm_hours = 0
{cameras}
[http]
port = {http}
[page]
users_file = "{folder}/users.toml"
port = {page}
"""
CAMERA = """
[[camera]]
name = "{name}"
url = "{url}"
floor_rate = 5
top_rate = 5
"""


class Visitor:
    """A browser as far as the server can tell: logs in, keeps its cookie and one connection."""

    def __init__(self, port: int) -> None:
        self._port, self._cookie = port, ""
        self._link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        form = self.get("/login").decode()
        csrf = re.search(r'name="csrf" value="(\w+)"', form)
        fields = urllib.parse.urlencode({"name": NAME, "password": PASSWORD, "csrf": csrf[1] if csrf else ""})
        origin = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/x-www-form-urlencoded"}
        self._ask("POST", "/login", fields, origin, 303)

    def get(self, path: str) -> bytes:
        return self._ask("GET", path, None, {}, 200)

    def stream(self) -> http.client.HTTPResponse:
        """The open stream of the live page, on a connection of its own."""
        link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        link.request("GET", "/live/stream", headers={"Cookie": self._cookie})
        return link.getresponse()

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str], expected: int) -> bytes:
        try:
            answer = self._answer(method, path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError):  # it was idle for too long: browsers try again
            self._link.close()
            answer = self._answer(method, path, body, headers)
        data = answer.read()
        if answer.status != expected:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:200]!r}, expected {expected}")
        for cookie in answer.headers.get_all("Set-Cookie", []):
            self._cookie = "; ".join(filter(None, (self._cookie, cookie.partition(";")[0])))
        return data

    def _answer(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        self._link.request(method, path, body, {"Cookie": self._cookie, **headers})
        return self._link.getresponse()


class Viewer(threading.Thread):
    """Looks at the live page: whenever a tile has another picture, gets it, as the page's script does."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._visitor, self._stop_now = Visitor(port), threading.Event()
        self.pictures = self.gone = 0

    def run(self) -> None:
        self._visitor.get("/")
        shown: dict[int, int] = {}
        with suppress(OSError, http.client.HTTPException), closing(self._visitor.stream()) as stream:
            while not self._stop_now.is_set() and (line := stream.readline()):
                if line.startswith(b'data: {"tiles"'):
                    for tile in json.loads(line[6:])["tiles"]:
                        if tile["number"] and tile["number"] != shown.get(tile["slot"]):
                            shown[tile["slot"]] = tile["number"]
                            self._look(f"/live/{tile['slot']}.jpg?n={tile['number']}&map=1")

    def _look(self, path: str) -> None:
        try:
            self._visitor.get(path)
            self.pictures += 1
        except RuntimeError:  # 404: it was too old by then
            self.gone += 1

    def end(self) -> None:
        self._stop_now.set()
        self.join(20)


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path, exists=True), help="A small model of colours, where absent.")
@click.option("--events", default=10_000, show_default=True)
@click.option("--requests", default=1_000, show_default=True)
@click.option("--cameras", default=4, show_default=True)
@click.option("--viewers", default=5, show_default=True)
@click.option("--pairs", default=6, show_default=True, help="Windows with viewers, each after one without.")
@click.option("--seconds", default=20.0, show_default=True, help="A window.")
def main(
    bundle: Path | None, events: int, requests: int, cameras: int, viewers: int, pairs: int, seconds: float
) -> None:
    """Fill a store, ask the page, let viewers come and go, print."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="page-load-") as place:
        folder = Path(place)
        good = measure_pages(folder / "store", bundle or make_bundle(folder / "bundle"), events, requests)
        if pairs:
            served = (bundle or folder / "bundle").absolute()
            good &= measure_viewers(folder / "live", served, cameras, viewers, pairs, seconds)
    raise SystemExit(not good)


def measure_pages(folder: Path, bundle: Path, events: int, requests: int) -> bool:
    """Whether a first page is fast and memory flat."""
    folder.mkdir()
    ids, port = filled(folder / "state", bundle, events), free_port()
    config = configure(folder, bundle, "".join(CAMERA.format(name=n, url="usb:9") for n in ("yard", "gate")), port)
    with running(folder, "page", config) as page:
        wait_for(port)
        visitor = Visitor(port)
        good = True
        paths = ("/", "/events", "/events?label=rust&judged=open", "/events?camera=gate&judged=right",
                 f"/events/{ids[-1]}", f"/events/{ids[-1]}/thumb.jpg", "/night", "/thresholds", "/cameras")  # fmt: skip
        for path in paths:
            times = [timed(visitor, path, page) for _ in range(11)]
            walls, own = [wall for wall, _ in times], statistics.median(busy for _, busy in times[1:])
            good &= statistics.median(walls[1:]) < LIMIT_MS
            print(f"{path.replace(ids[-1], '<id>'):34} first {walls[0]:5.0f} ms, then median "
                  f"{statistics.median(walls[1:]):4.0f} ms, slowest {max(walls[1:]):4.0f} ms; processor time "
                  f"{times[0][1]:4.0f} ms, then {own:3.0f} ms", flush=True)  # fmt: skip
        memory = [held(page)]
        for number in range(requests):
            identity = ids[number * 7919 % len(ids)]
            path = ("/events?before=" + str(events - number), f"/events/{identity}", f"/events/{identity}/thumb.jpg",
                    "/", "/night", "/thresholds", "/events?judged=open")[number % 7]  # fmt: skip
            visitor.get(path)
            if (number + 1) % (requests // 10) == 0:
                memory.append(held(page))
        print(f"memory of the page in MB over {requests} requests: {', '.join(f'{mb:.1f}' for mb in memory)}")
        grown = memory[-1] - memory[len(memory) // 2]
        print(f"grown in the second half by {grown:.1f} MB")
    return good and grown < 0.03 * memory[-1]


def filled(state: Path, bundle: Path, events: int) -> list[str]:
    """Write a month of alarms, some of them judged, and the scores of a night; return the ids of the alarms."""
    began, now = time.monotonic(), time.time()
    state.mkdir()
    reporter, ids = Reporter("load", open_bundle(bundle)), []
    view = judged_view((40, 40, 220))
    template = reporter.alarm(view, Change(view.evaluation.decision.flagged[0], True, 2, 3, 2), moment(now))
    frame = cv2.imencode(".jpg", cv2.resize(view.image, (1280, 720)))[1].tobytes()
    with closing(Outbox(state, [])) as outbox, closing(Judgements(state)) as judgements:
        for number in range(events):
            when, identity = now - 30 * 86400 * (1 - number / events), str(uuid.uuid4())
            camera = ("yard", "gate")[number % 2]
            told = {**template.document, "id": identity, "camera": camera, **vars(moment(when))}
            outbox.commit(Record(identity, template.kind, camera, told, {**template.pictures, "frame": frame}))
            ids.append(identity)
            if number % 5 == 0:
                verdict = (Verdict.RIGHT, Verdict.WRONG)[number % 10 == 0]
                judgements.add(judge_event(told, verdict, "anna", "operator"))
    scores = ScoreWriter(state, 1 << 30, MODEL, rules_of(("yard", "gate")), [("yard", ""), ("gate", "")])
    chance = np.random.default_rng(0)
    for second in range(12 * 3600):
        likely = float(np.clip(chance.beta(0.5, 40) + (second % 3600 < 20) * 0.7, 0.001, 0.999))
        scores.note(
            [scored_view(RULE, rust(likely), time.monotonic() - 12 * 3600 + second, ("yard", "gate")[second % 2])]
        )
    scores.close()
    print(
        f"{events} events, {events // 5} judgements and a night of scores written in {time.monotonic() - began:.0f} s"
    )
    return ids


def moment(wall: float) -> Moment:
    return Moment(iso(wall), iso(wall + 0.1), "synced")


def measure_viewers(folder: Path, bundle: Path, count: int, viewers: int, pairs: int, seconds: float) -> bool:
    """Whether viewers cost the service few of its frames: windows without and with them take turns."""
    folder.mkdir()
    pictures = [jpeg(number, (360, 640), (0.3, 1, 0.3)) for number in range(40)]
    servers = [FaultServer(rate=10.0).start() for _ in range(count)]
    for server in servers:
        server.frames = pictures
    page, http_port = free_port(), free_port()
    named = [(f"camera-{number}", server.url()) for number, server in enumerate(servers)]
    cameras = "".join(CAMERA.format(name=name, url=url) for name, url in named)
    lost, delayed, slower, dearer = [], [], [], []
    with running(folder, "run", configure(folder, bundle, cameras, page, http_port)) as service:
        wait_for(page)
        wait_until(lambda: watched(http_port) == count)
        for pair in range(pairs):
            looking = [Viewer(page) for _ in range(viewers)]
            alone = (
                window(service, http_port, seconds) if pair % 2 == 0 else {}
            )  # in turns, or a machine that slows would count
            for viewer in looking:
                viewer.start()
            beside = window(service, http_port, seconds)
            for viewer in looking:
                viewer.end()
            alone = alone or window(service, http_port, seconds)
            seen = sum(viewer.pictures for viewer in looking)
            lost.append(1 - beside["rate"] / alone["rate"])
            delayed.append(beside["late"] - alone["late"])
            slower.append(beside["age"] - alone["age"])
            dearer.append(beside["own"] / alone["own"] - 1)
            print(f"pair {pair + 1}: {alone['rate']:.2f} and {beside['rate']:.2f} verdicts a second, "
                  f"{100 * alone['late']:.2f} and {100 * beside['late']:.2f} % later than {LATE} s, mean age "
                  f"{1000 * alone['age']:.0f} and {1000 * beside['age']:.0f} ms; a verdict's processor time "
                  f"{1000 * alone['own']:.2f} and {1000 * beside['own']:.2f} ms, the page's share of a core "
                  f"{100 * alone['page']:.1f} and {100 * beside['page']:.1f} %; {seen} pictures seen, "
                  f"{sum(viewer.gone for viewer in looking)} gone", flush=True)  # fmt: skip
    for server in servers:
        server.stop()
    cost = [one + other for one, other in zip(lost, delayed, strict=True)]
    print(f"{viewers} viewers cost {spread(lost)} of the verdicts and delay {spread(delayed)} more beyond {LATE} s; "
          f"together {spread(cost)}; a verdict is {1000 * statistics.mean(slower):.0f} ms later, and takes the service "
          f"{spread(dearer)} more processor time")  # fmt: skip
    return statistics.mean(cost) < LIMIT_SHARE


def window(service: psutil.Process, port: int, seconds: float) -> dict[str, float]:
    """What a while is like, after things have settled: the verdicts a second (`rate`), the share of late ones, their
    mean age and the service's own processor time for one in seconds, and the page's share of a core.
    """
    time.sleep(SETTLE_SECONDS)
    (page,) = (child for child in service.children() if "page" in child.cmdline())
    before, own, page_own, began = metrics(port), busy(service), busy(page), time.monotonic()
    time.sleep(seconds)
    after, elapsed = metrics(port), time.monotonic() - began
    change = {name: value - before.get(name, 0.0) for name, value in after.items()}
    count = change["rarefault_verdict_seconds_count"]
    timely = change[f'rarefault_verdict_seconds_bucket{{le="{LATE}"}}']
    return {
        "rate": count / elapsed,
        "late": 1 - timely / count,
        "age": change["rarefault_verdict_seconds_sum"] / count,
        "own": (busy(service) - own) / count,
        "page": (busy(page) - page_own) / elapsed,
    }


def metrics(port: int) -> dict[str, float]:
    lines = ask(port, "/metrics").decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def watched(port: int) -> int:
    with suppress(OSError, ValueError):
        cameras = json.loads(ask(port, "/status"))["cameras"].values()
        return sum(camera["status"] == "online" for camera in cameras)
    return 0


def ask(port: int, path: str) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as link:
        link.request("GET", path)
        return link.getresponse().read()


def configure(folder: Path, bundle: Path, cameras: str, page: int, http_port: int | None = None) -> Path:
    """Write settings and the users file."""
    users = folder / "users.toml"
    users.write_text(f'[user.{NAME}]\nrole = "operator"\npassword = "{hash_password(PASSWORD)}"\n')
    users.chmod(0o600)
    config = folder / "station.toml"
    config.write_text(
        SETTINGS.format(
            folder=folder, bundle=bundle.absolute(), cameras=cameras, http=http_port or free_port(), page=page
        )
    )
    return config


@contextmanager
def running(folder: Path, command: str, config: Path) -> Iterator[psutil.Process]:
    """Run an `edge-station` command; its log is printed where it ends by itself."""
    with (folder / "log").open("wb") as log:
        arguments = [sys.executable, "-m", "edge_runtime.station", command, "--config", str(config)]
        child = subprocess.Popen(arguments, stdout=log, stderr=log)
    try:
        yield psutil.Process(child.pid)
    except BaseException:
        print((folder / "log").read_text()[-3000:])
        raise
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(20)


def wait_for(port: int) -> None:
    def answers() -> bool:
        with suppress(OSError, http.client.HTTPException):
            return bool(ask(port, "/login"))
        return False

    wait_until(answers)


def timed(visitor: Visitor, path: str, page: psutil.Process) -> tuple[float, float]:
    """Milliseconds from the request to the last byte, and those of the page's processor time."""
    began, before = time.perf_counter(), busy(page)
    visitor.get(path)
    return (time.perf_counter() - began) * 1000, (busy(page) - before) * 1000


def busy(process: psutil.Process) -> float:
    """Seconds of processor time so far, of its own."""
    return float(sum(process.cpu_times()[:2]))


def held(process: psutil.Process) -> float:
    return float(process.memory_full_info().uss / 2**20)


def spread(shares: list[float]) -> str:
    """The mean in percent with the standard error over the pairs."""
    error = statistics.stdev(shares) / len(shares) ** 0.5 if len(shares) > 1 else float("nan")
    return f"{100 * statistics.mean(shares):.2f} % (± {100 * error:.2f})"


if __name__ == "__main__":
    main()

"""A bundle over a thin link that breaks: `python -m benchmarks.thin_link OUT [--megabytes 50] [--cut 10]`.

Claims: the bundle arrives whole however often the link is cut, and alarms still go out first: their delay, from the
moment a camera shows the fault until a subscriber has the event, is told with the download and without. Update and MQTT
share one loopback link, so many bytes a second in each direction, that cuts every connection at once again and again.
Station, broker and repository are real. The model is the tests' colour bundle with weights that do nothing.
"""

import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import click
import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge_runtime.updates.state import Stage, load
from tests.support import live_models
from tests.support.central_repository import make_repository
from tests.support.fake_mjpeg_camera import GREEN_FRAMES, RED_FRAMES
from tests.support.file_server import file_server
from tests.support.running_station import Station
from tests.support.sample_events import wait_until
from tests.support.shared_link import shared_link

UPDATES = """
[updates]
url = "{url}"
root = "{root}"
interval_hours = 0.001
probation_minutes = 0.1
shadow_frames = 0
most_latency = 100
"""
PAUSE = 8.0  # seconds between two alarms
LONGEST = 90.0  # seconds that an alarm may take before it counts as lost


def heavy(megabytes: int):
    """Return a change of a model that adds weights which are multiplied by nothing."""

    def change(model: onnx.ModelProto) -> None:
        weights = np.random.default_rng(0).standard_normal(megabytes * 250_000).astype(np.float32)
        graph = model.graph
        graph.node[-1].output[0] = "bare"
        graph.initializer.append(numpy_helper.from_array(weights, "weights"))
        graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "nothing"))
        graph.node.extend(
            [
                helper.make_node("ReduceMean", ["weights"], ["mean"], keepdims=1),
                helper.make_node("Mul", ["mean", "nothing"], ["extra"]),
                helper.make_node("Add", ["bare", "extra"], ["logits"]),
            ]
        )

    return change


def alarm_delay(station: Station) -> float:
    """Show a fault and return the seconds until the subscriber has its alarm, and end it."""
    events = "rarefault/north-7/yard/event"
    before = sum(topic == events for topic, _, _ in list(station.subscriber.heard))
    station.camera.frames = RED_FRAMES
    began = time.monotonic()
    try:
        wait_until(lambda: sum(topic == events for topic, _, _ in list(station.subscriber.heard)) > before, LONGEST)
        return time.monotonic() - began
    finally:
        station.camera.frames = GREEN_FRAMES
        time.sleep(PAUSE)


def told(what: str, delays: list[float]) -> None:
    rows = sorted(delays)
    ninety = rows[min(len(rows) - 1, int(0.95 * len(rows)))]
    click.echo(
        f"{what}: {len(rows)} alarms, median {statistics.median(rows):.2f} s, 95 % within {ninety:.2f} s, "
        f"worst {rows[-1]:.2f} s"
    )


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--megabytes", default=50, show_default=True)
@click.option("--rate", default=64_000, show_default=True, help="Bytes a second.")
@click.option("--cut", default=10.0, show_default=True, help="Seconds between two cuts.")
@click.option("--alarms", default=20, show_default=True, help="Without a download.")
def main(out: Path, megabytes: int, rate: int, cut: float, alarms: int) -> None:
    """Measure both delays, and whether the bundle arrives."""
    out.mkdir(parents=True)
    factory = live_models.make_version(out / "factory", "1")
    repository = make_repository(out / "repository")
    new = live_models.make_version(out / "new", "2", change=heavy(megabytes))
    repository.release(repository.add_bundle(new.folder), "all")
    repository.commit()
    (out / "station").mkdir()
    station = Station(out / "station", factory.folder.absolute())
    try:
        with (
            file_server(out / "repository") as server,
            shared_link([web := int(server.url.rpartition(":")[2]), station.broker.port], rate, cut) as link,
        ):
            settings = station.config.read_text().replace(
                f"port = {station.broker.port}", f"port = {link.to(station.broker.port)}"
            )
            station.config.write_text(settings)
            station.watching()
            told("without a download", [alarm_delay(station) for _ in range(alarms)])
            root = (out / "repository" / "metadata" / "1.root.json").absolute()
            station.config.write_text(settings + UPDATES.format(url=f"http://127.0.0.1:{link.to(web)}", root=root))
            command = [sys.executable, "-m", "edge_runtime.station", "update", "--config", str(station.config)]
            began, cuts = time.monotonic(), link.cuts
            done = threading.Event()
            seconds: list[float] = []

            def fetch() -> None:
                while load(station.state).stage in (Stage.IDLE,):  # as the service's schedule does
                    subprocess.run(command, check=False)
                seconds.append(time.monotonic() - began)
                done.set()

            threading.Thread(target=fetch, daemon=True).start()
            delays = []
            while not done.is_set():
                delays.append(alarm_delay(station))
            told("with the download", delays)
            stage = load(station.state).stage.value
            click.echo(f"{megabytes} MB at {rate} B/s, {link.cuts - cuts} cuts: {seconds[0]:.0f} s, then {stage}")
    finally:
        station.close()


if __name__ == "__main__":
    main()

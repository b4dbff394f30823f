"""Does a station grow? `python -m benchmarks.station_soak --bundle DIR [--minutes 30]`. Needs mosquitto.

Claim: the upper 95 % bound of the slope of its memory is below 0.7 MB an hour. The whole service runs as a process of
its own, with four cameras over HTTP. Every 20 seconds something happens, in turns: a fault appears and goes (an event
with its pictures), the camera server is gone for two seconds (four reconnections), the broker is stopped for two
seconds, a test alarm is asked for. Memory is what only these processes hold (USS), of the service and of its camera
processes apart, every five seconds; the slope is Theil and Sen's. The first five minutes, in which caches fill, do not
count.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import psutil
from scipy.stats import theilslopes

from tests.support.fake_mjpeg_camera import GREEN_FRAMES, RED_FRAMES
from tests.support.running_station import Station
from tests.support.sample_events import wait_until

WARM_SECONDS = 300.0
SAMPLE_SECONDS, EVENT_SECONDS = 5.0, 20.0
STEEPEST = 0.7  # MB an hour
CAMERAS = ("yard", "gate", "roof", "hall")


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--minutes", type=click.FloatRange(min=0.5), default=30.0, show_default=True, help="After the warm-up.")
def main(bundle: Path, minutes: float) -> None:
    """Run, disturb, measure."""
    with tempfile.TemporaryDirectory(prefix="station-soak-") as folder:
        station = Station(Path(folder), bundle)
        try:
            station.configure(**dict.fromkeys(CAMERAS, station.camera.url()))
            good = _measure(station.watching(), minutes * 60)
        finally:
            station.close()
    sys.exit(0 if good else 1)


def _measure(station: Station, seconds: float) -> bool:
    assert station.process is not None
    service = psutil.Process(station.process.pid)
    disturb = _disturbances(station)
    began = time.monotonic()
    samples: list[tuple[float, float, float, int]] = []  # hours, MB of the service, MB of its cameras, descriptors
    number = 0
    while (now := time.monotonic() - began) < WARM_SECONDS + seconds:
        if now > (number + 1) * EVENT_SECONDS:
            disturb[number % len(disturb)]()
            number += 1
        samples.append((now / 3600, *_held(service)))
        time.sleep(SAMPLE_SECONDS)
    kept = [sample for sample in samples if sample[0] * 3600 >= WARM_SECONDS] or samples
    hours, own, cameras, descriptors = (list(column) for column in zip(*kept, strict=True))
    events = station.subscriber.events()
    print(f"{seconds / 60:.0f} minutes after {WARM_SECONDS / 60:.0f} of warm-up, {number} disturbances, "
          f"{len({event['id'] for event in events})} events heard, {len(kept)} samples")  # fmt: skip
    good = _told("service", hours, own)
    _told("camera processes", hours, cameras)
    print(f"descriptors of the service {min(descriptors)} to {max(descriptors)}, last {descriptors[-1]}; "
          f"threads {service.num_threads()}; processes {1 + len(service.children())}")  # fmt: skip
    return good


def _told(what: str, hours: list[float], megabytes: list[float]) -> bool:
    slope, _, low, high = theilslopes(megabytes, hours, 0.95)
    print(f"{what}: {megabytes[0]:.1f} MB at first, {megabytes[-1]:.1f} at last, {max(megabytes):.1f} at most; "
          f"slope {slope:+.2f} MB an hour (95 %: {low:+.2f} to {high:+.2f})")  # fmt: skip
    return bool(high < STEEPEST)


def _held(service: psutil.Process) -> tuple[float, float, int]:
    def megabytes(process: psutil.Process) -> float:
        try:
            return float(process.memory_full_info().uss / 2**20)
        except psutil.Error:  # replaced just now
            return 0.0

    return megabytes(service), sum(megabytes(child) for child in service.children()), service.num_fds()


def _disturbances(station: Station) -> list[Callable[[], None]]:
    def fault() -> None:
        before = len(station.subscriber.events())
        station.camera.frames = RED_FRAMES
        wait_until(lambda: len(station.subscriber.events()) > before, 60)
        station.camera.frames = GREEN_FRAMES

    def cameras_away() -> None:
        station.camera.stop()
        time.sleep(2)
        station.camera.start()

    def broker_away() -> None:
        station.broker.stop()
        time.sleep(2)
        station.broker.start()

    def test_alarm() -> None:
        assert station.call("test-alarm").returncode == 0

    return [fault, cameras_away, broker_away, test_alarm]


if __name__ == "__main__":
    main()

"""How soon do cameras come back, and does anything grow? A real RTSP server on loopback is killed again and again.

`python -m benchmarks.camera_recovery [--kills 50] [--cameras 8] [--long 2]` prints the seconds from the server's return
to each camera's first frame, and descriptors, threads, processes and memory before and after. Needs Debian's
gir1.2-gst-rtsp-server-1.0. Exit code 1 where the 95th percentile exceeds five seconds.
"""

import os
import socket
import statistics
import subprocess
import time
from pathlib import Path

import click
import psutil

from edge_runtime.cameras.camera_group import CameraGroup
from edge_runtime.cameras.settings import CameraSettings, plan_cameras

SERVER = Path(__file__).parents[1] / "tests" / "support" / "real_rtsp_server.py"
MODULE = "edge_runtime.cameras.capture_process"
SHORT, LONG = 1.0, 60.0  # seconds that the server is down
LIMIT = 5.0  # seconds to be back within, 95th percentile


def serve(port: int) -> "subprocess.Popen[str]":
    command = ["/usr/bin/python3", str(SERVER), str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    if server.stdout.readline() != "ready\n":
        raise SystemExit("the RTSP server did not start: install gir1.2-gst-rtsp-server-1.0")
    return server


def end(server: "subprocess.Popen[str]") -> None:
    server.kill()
    server.wait()
    assert server.stdout is not None
    server.stdout.close()


def wait_for(cameras: CameraGroup, online: bool, seconds: float = 120.0) -> dict[str, float]:
    """Monotonic time at which each camera went on or off line."""
    done: dict[str, float] = {}
    deadline = time.monotonic() + seconds
    while len(done) < len(cameras.plans):
        cameras.newest(0.02)
        now = time.monotonic()
        if now > deadline:
            raise SystemExit(f"not {'online' if online else 'offline'} within {seconds} s: {cameras.states()}")
        for name, state in cameras.states().items():
            if (state.cause is None) == online:
                done.setdefault(name, now)
    return done


def linger(cameras: CameraGroup, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        cameras.newest(min(left, 0.1))


def held() -> dict[str, float]:
    """Of this process and its cameras."""
    me = psutil.Process()
    children = [child for child in me.children() if MODULE in child.cmdline()]
    memory = [process.memory_full_info().uss / 2**20 for process in (me, *children)]
    return {
        "descriptors": me.num_fds(),
        "camera descriptors": sum(child.num_fds() for child in children),
        "threads": me.num_threads(),
        "camera threads": sum(child.num_threads() for child in children),
        "processes": len(children),
        "station MB": round(memory[0], 1),
        "cameras MB": round(sum(memory[1:]), 1),
    }


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--cameras", "count", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--long", "minutes", type=click.IntRange(min=0), default=2, help="How many of the kills last a minute.")
def main(kills: int, count: int, minutes: int) -> None:
    """Kill, restart, measure."""
    long_ones = set(range(1, kills, max(kills // minutes, 1))) if minutes else set()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = serve(port)
    url = f"rtsp://127.0.0.1:{port}/cam"
    names = [f"camera-{number}" for number in range(count)]
    plans = plan_cameras([CameraSettings(name, url, floor_rate=5) for name in names])
    with CameraGroup(plans) as cameras:
        wait_for(cameras, online=True)
        linger(cameras, 3)
        delays: list[float] = []
        for kill in range(kills):
            if kill in (2, kills // 2, kills - 1):
                linger(cameras, 2)
                print(f"after {kill} kills: {held()}", flush=True)
            end(server)
            wait_for(cameras, online=False)
            linger(cameras, LONG if kill in long_ones else SHORT)
            server = serve(port)
            back = time.monotonic()
            delays += [at - back for at in wait_for(cameras, online=True).values()]
        linger(cameras, 2)
        print(f"after {kills} kills: {held()}")
        print(f"processes replaced: {sum(state.restarts for state in cameras.states().values())}")
    end(server)
    p95 = statistics.quantiles(delays, n=20)[-1]
    print(f"back after the server, {len(delays)} times: median {statistics.median(delays):.2f} s, p95 {p95:.2f} s, "
          f"largest {max(delays):.2f} s, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    raise SystemExit(0 if p95 <= LIMIT else 1)


if __name__ == "__main__":
    main()

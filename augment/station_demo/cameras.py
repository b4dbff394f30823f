"""The demo's cameras: motion JPEG over HTTP on loopback, each with a programme of what happens before it."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from augment.mini.scenes import COUNTERPARTS
from augment.station_demo.pictures import Camera, Sight, clean_picture

RATE = 5.0  # frames a second
BOUNDARY = "frame"


@dataclass(frozen=True)
class Spell:
    """A state that comes and goes, in seconds since the cameras were first looked at: when first, how long, how often.

    A spell that never comes has `lasts` = 0.
    """

    first: float = 0.0
    lasts: float = 0.0
    every: float = 3600.0

    def holds(self, seconds: float) -> bool:
        """Whether it is on `seconds` after the start."""
        return seconds >= self.first and (seconds - self.first) % self.every < self.lasts


NEVER = Spell()


@dataclass(frozen=True)
class Programme:
    """One camera: its `name`, the `fault` it looks at with everything else of the sight, and when what happens."""

    name: str
    fault: Sight  # its label is that of a fault; the healthy sight differs in nothing else
    faulty: Spell = NEVER
    frozen: Spell = NEVER


# One evening at a station. The faults take turns, so that a few minutes show all of it.
PROGRAMMES: tuple[Programme, ...] = (
    Programme("transformer-1", Sight("leaking_transformer", "gravel", "dusk", -0.03, 0.42, 0.03, 3), Spell(6, 50, 240)),
    Programme("gauge-1", Sight("redlined_gauge", "room", "day", 0.02, 0.4, -0.02, 7), Spell(55, 45, 240)),
    Programme("insulator-2", Sight("broken_insulator", "grass", "dusk", 0.03, 0.42, -0.03, 12), Spell(100, 45, 240)),
    Programme("cabinet-1", Sight("breached_cabinet", "grass", "dusk", -0.02, 0.36, 0.02, 23), Spell(30, 60, 240)),
    Programme(
        "breather-1", Sight("saturated_breather", "gravel", "dusk", 0.0, 0.4, 0.02, 30), frozen=Spell(20, 150, 240)
    ),
    Programme("disconnector-3", Sight("jammed_disconnector", "gravel", "dusk", 0.0, 0.4, 0.0, 41), Spell(150, 45, 240)),
)
IN_MAINTENANCE = "cabinet-1"


class DemoCameras:
    """Serves each of `programmes` as http://127.0.0.1:PORT/NAME, in threads, until `close`."""

    def __init__(self, programmes: Sequence[Programme] = PROGRAMMES) -> None:
        self.programmes = {programme.name: programme for programme in programmes}
        self.closed = threading.Event()
        self._began: float | None = None
        cameras = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cameras.stream(self)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing of requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo cameras", daemon=True)
        self._thread.start()

    def url(self, name: str) -> str:
        """Return the address of the camera `name`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}"

    def seconds(self) -> float:
        """Return the seconds since somebody first looked; the first call is that moment."""
        self._began = time.monotonic() if self._began is None else self._began
        return time.monotonic() - self._began

    def close(self) -> None:
        """Take no more viewers, and let the streams end."""
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def stream(self, request: BaseHTTPRequestHandler) -> None:
        """Answer `request` with frames until the viewer leaves."""
        programme = self.programmes.get(request.path.strip("/"))
        if programme is None:
            request.send_error(404)
            return
        request.send_response(200)
        request.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        request.end_headers()
        with suppress(ConnectionError):
            self._send(request, programme)
        request.close_connection = True

    def _send(self, request: BaseHTTPRequestHandler, programme: Programme) -> None:
        camera = Camera(programme.name, programme.fault.seed)
        healthy = clean_picture(replace(programme.fault, label=COUNTERPARTS[programme.fault.label]))
        faulty, jpeg = clean_picture(programme.fault), b""
        while not self.closed.is_set():
            seconds = self.seconds()
            if not jpeg or not programme.frozen.holds(seconds):
                shown = faulty if programme.faulty.holds(seconds) else healthy
                jpeg = camera.frame(shown, time.strftime("%Y-%m-%d %H:%M:%S"))
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            request.wfile.write(head.encode() + jpeg + b"\r\n")
            self.closed.wait(1 / RATE)

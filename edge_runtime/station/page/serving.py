"""Serves the station's page until it is told to stop, or the service that started it is gone."""

import threading
import time
from collections.abc import Callable

import cv2

from ...web.server import listen, serve
from ..settings import StationSettings
from .app import make_app
from .desk import open_desk
from .live_frames import LiveFrames
from .process import follow_parent
from .tiles import Tiles


def serve_page(
    settings: StationSettings, live_fd: int | None, stop: threading.Event, ready: Callable[[int], None]
) -> None:
    """Serve until `stop`; `ready` is told the port. RarefaultError where something is missing or the port is taken.

    `live_fd` is the descriptor of the service's live pictures, whose child this process is then.
    """
    cv2.setNumThreads(1)  # the cores are the watch's
    if live_fd is not None:
        follow_parent(stop)
    frames = None if live_fd is None else LiveFrames(handle=live_fd)
    section = settings.page
    with open_desk(settings, frames) as desk:
        tiles = Tiles(desk)
        app = make_app(desk, tiles)
        listening = listen(section.host, section.port)
        port = int(listening.getsockname()[1])
        publisher = threading.Thread(target=tiles.publish, args=(stop,), name="live", daemon=True)
        publisher.start()

        def alive() -> None:
            if frames is not None:
                frames.say_alive(time.monotonic())

        serve(app, listening, stop, section.cert_file, section.key_file, lambda: ready(port), alive)
        publisher.join(5)

"""The station's page over a state folder with events, made in this process: without a service, with live pictures."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from edge_runtime.alerts.events import ALARM, Record
from edge_runtime.alerts.outbox import Outbox
from edge_runtime.bundle.store import open_bundle
from edge_runtime.media.jpeg import encode_jpeg
from edge_runtime.station.page.app import make_app
from edge_runtime.station.page.desk import Desk, open_desk
from edge_runtime.station.page.live_frames import LiveFrames, LiveWriter, views_of
from edge_runtime.station.page.tiles import Tiles
from edge_runtime.station.settings import StationSettings, load_station_settings
from edge_runtime.web.secured import secured
from tests.support.fake_mjpeg_camera import free_port
from tests.support.judged_events import alarm_document
from tests.support.sample_events import judged_view
from tests.support.web_pages import browser_client, log_in, write_users

SETTINGS = """
[station]
name = "north-7"
state_dir = "state"
bundle = "{bundle}"

[[camera]]
name = "yard"
url = "usb:0"

[[camera]]
name = "north"
url = "usb:1"

[http]
port = {http}

[page]
users_file = "users.toml"
"""


@dataclass
class PageOverState:
    """The application, what it works with, and the folder that holds settings, users and state."""

    folder: Path
    settings: StationSettings
    desk: Desk
    app: secured

    def client(self, name: str = "", raise_bugs: bool = False) -> tuple[TestClient, str]:
        """A browser in which `name` has logged in, and the session's token; of nobody where the name is empty."""
        client = browser_client(self.app, raise_bugs=raise_bugs)
        return client, log_in(client, name) if name else ""


@contextmanager
def page_over_state(folder: Path, bundle: Path, alarms: list[dict[str, Any]]) -> Iterator[PageOverState]:
    """Serve in this process; `alarms` are changes of the documents of alarms event-0, event-1, ..., with pictures."""
    (folder / "station.toml").write_text(SETTINGS.format(bundle=bundle, http=free_port()))
    write_users(folder)
    settings = load_station_settings(folder / "station.toml")
    settings.station.state_dir.mkdir()
    picture = encode_jpeg(np.full((48, 64, 3), 90, np.uint8), 90)
    with closing(Outbox(settings.station.state_dir, ("mqtt",))) as outbox:
        for number, change in enumerate(alarms):
            document = alarm_document(number, **change)
            pictures = {"frame": picture, "heatmap": picture}
            outbox.commit(Record(document["id"], ALARM, document["camera"], document, pictures))
    frames = LiveFrames(2)
    opened, rates = open_bundle(bundle), {"yard": 0.5, "north": 0.5}
    LiveWriter(frames, views_of(settings.camera), lambda: opened, rates).judged([judged_view((0, 0, 255))], 0)
    with closing(frames), open_desk(settings, frames) as desk:
        yield PageOverState(folder, settings, desk, make_app(desk, Tiles(desk)))

"""Films over RTSP: `/usr/bin/python3 rtsp_films.py PORT FOLDER`, run with the system's Python.

FOLDER/yard.mp4 (H.264) is streamed at its own pace under /yard, from its beginning for whoever asks. Prints "ready",
then a name and the time in seconds since 1970 whenever one begins.
"""

import sys
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = '( filesrc location="{path}" ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1 )'


def say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def greet(_server, client):
    client.connect("play-request", lambda _client, context: say(f"{context.uri.abspath.strip('/')} {time.time():.3f}"))


def main():
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    for film in sorted(Path(sys.argv[2]).glob("*.mp4")):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(PIPELINE.format(path=film))
        server.get_mount_points().add_factory(f"/{film.stem}", factory)
    server.connect("client-connected", greet)
    if not server.attach(None):
        sys.exit("cannot listen")
    say("ready")
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()

"""Shows a page on the machine of the person who started the command, until they end it."""

import threading
from collections.abc import Callable

from starlette.types import ASGIApp

from ..web.local_access import LocalAccess, open_browser
from ..web.server import listen, serve

LONGEST_END = 10.0  # seconds that answers under way get


def show(
    app: ASGIApp,
    access: LocalAccess,
    port: int,
    browser: bool,
    say: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Serve `app` on 127.0.0.1 until the person presses Ctrl-C or `stop` is set; `port` 0 is any free one.

    The address is said, and opened where `browser` is set. UnavailableError where the port is taken.
    """
    listening = listen("127.0.0.1", port)
    address = access.address(listening.getsockname()[1])
    stop, failed = stop or threading.Event(), list[BaseException]()

    def ready() -> None:
        say(f"The page is at {address} (this address works once). Press Ctrl-C here to end.")
        if browser and not open_browser(address):
            say("No display was found: open the address in a browser of this machine.")

    def run() -> None:
        try:
            serve(app, listening, stop, ready=ready)
        except BaseException as error:  # noqa: BLE001  it is raised where the person waits
            failed.append(error)
            stop.set()

    server = threading.Thread(target=run, name="page", daemon=True)
    server.start()
    try:
        stop.wait()
    except KeyboardInterrupt:
        stop.set()
    server.join(LONGEST_END)
    if failed:
        raise failed[0]

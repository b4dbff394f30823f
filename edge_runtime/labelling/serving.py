"""Shows a page on the machine of the person who started the command, until they end it."""

import contextlib
import threading
from collections.abc import Callable

from starlette.types import ASGIApp

from ..web.local_access import LocalAccess, open_browser
from ..web.server import listen, serve


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

    def ready() -> None:
        say(f"The page is at {address} (this address works once). Press Ctrl-C here to end.")
        if browser and not open_browser(address):
            say("No display was found: open the address in a browser of this machine.")

    with contextlib.suppress(KeyboardInterrupt):  # it is raised again once the server has ended
        serve(app, listening, stop or threading.Event(), ready=ready)

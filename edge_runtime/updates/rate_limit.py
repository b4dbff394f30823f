"""How fast an update may be fetched, and at which hours not at all."""

import threading


class RateLimit:
    """Lets through so many bytes a second on average; one object for all that an update fetches."""

    def __init__(self, bytes_per_second: int = 0, quiet: str = "") -> None:
        self._rate, self._quiet = bytes_per_second, quiet

    def take(self, count: int, stop: threading.Event) -> None:
        """Wait until `count` bytes more may have been fetched; UpdateDelayed in quiet hours and when `stop` is set."""

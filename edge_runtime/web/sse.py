"""Live values for many pages at once, as server-sent events: one producer, and each viewer gets the newest alone."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .access import session_of

MOST_VIEWERS = 32
HEARTBEAT = 5.0  # seconds; so a page knows that nothing new is not a dead connection


class OpenStreams:
    """The streams of one server, which it ends when it stops; they would keep it from stopping."""

    KEY = "rarefault.streams"  # of a request's scope

    def __init__(self) -> None:
        self.over = False
        self.events: set[asyncio.Event] = set()

    def end(self) -> None:
        """End all of them; called in the server's loop."""
        self.over = True
        for event in self.events:
            event.set()


class LiveValues:
    """The newest value of something. `publish` may be called from any thread, `answer` from a route's endpoint.

    A viewer that reads slowly misses values in between; nothing queues up. A stream ends with its viewer's session, and
    where nobody has published for `stale` seconds: whoever should may hang, and what is shown would look like new.
    """

    def __init__(self, most: int = MOST_VIEWERS, heartbeat: float = HEARTBEAT, stale: float = math.inf) -> None:
        self._most, self._heartbeat, self._stale = most, heartbeat, stale
        self._number, self._data, self._published = 0, "", time.monotonic()
        self._viewers: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return len(self._viewers)

    def publish(self, value: object) -> None:
        """Show `value`, anything that JSON has, to all viewers now and to new ones when they come.

        The same value again is not sent again: it says that it still holds.
        """
        data, self._published = json.dumps(value), time.monotonic()
        if data == self._data:
            return
        self._data = data
        self._number += 1
        for event, loop in list(self._viewers.items()):
            loop.call_soon_threadsafe(event.set)

    def answer(self, request: Request) -> Response:
        """Return the stream; HTTPException 503 where too many are open, or the newest value is stale."""
        if len(self._viewers) >= self._most or not self._holds():
            raise HTTPException(503, headers={"Retry-After": "30"})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._stream(request), media_type="text/event-stream", headers=headers)

    def _holds(self) -> bool:
        return time.monotonic() - self._published <= self._stale

    async def _stream(self, request: Request) -> AsyncIterator[str]:
        event, shown = asyncio.Event(), 0
        streams: OpenStreams = request.scope.get(OpenStreams.KEY) or OpenStreams()
        streams.events.add(event)
        self._viewers[event] = asyncio.get_running_loop()
        try:
            yield "retry: 2000\n\n"
            while (present := session_of(request) is not None) and not streams.over and self._holds():
                if self._number != shown:
                    shown = self._number
                    yield f"data: {self._data}\n\n"
                try:
                    await asyncio.wait_for(event.wait(), self._heartbeat)
                except asyncio.TimeoutError:
                    yield "event: heartbeat\ndata: {}\n\n"
                event.clear()
            if not present:
                yield "event: ended\ndata: {}\n\n"
        finally:
            streams.events.discard(event)
            del self._viewers[event]

"""What a request sends: bounded in size and time, and read as a JSON object whose values are checked one by one."""

import asyncio
import json
import math
import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

BODY_SECONDS = 10.0  # in which a body has to arrive
MOST_TEXT = 1000  # characters of one value, unless an endpoint says otherwise


def announced(scope: Scope) -> int:
    """Return how many bytes the request says its body has, 0 where it does not say."""
    told = dict(scope["headers"]).get(b"content-length", b"")
    return int(told) if told.isdigit() and len(told) < 16 else 0


def bounded(receive: Receive, most: int, seconds: float = BODY_SECONDS) -> Receive:
    """Return `receive` with HTTPException 413 for a body of more than `most` bytes, and 408 for one that comes late."""
    deadline = time.monotonic() + seconds
    size, whole = 0, False

    async def receive_bounded() -> Message:
        nonlocal size, whole
        if whole:  # what comes now says that the client is gone, and may take as long as it likes
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
        except asyncio.TimeoutError:
            raise HTTPException(408) from None
        size += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if size > most:
            raise HTTPException(413)
        return message

    return receive_bounded


async def json_object(request: Request) -> dict[str, object]:
    """Return the request's body; HTTPException 400 where it is no JSON object, or holds text that is no Unicode."""
    try:
        text = (await request.body()).decode()
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()  # "\ud800" is JSON, and can be neither stored nor shown
    except (ValueError, RecursionError):
        raise HTTPException(400) from None
    if not isinstance(value, dict):
        raise HTTPException(400)
    return value


def text(body: dict[str, object], key: str, most: int = MOST_TEXT) -> str:
    """Return the text under `key`, "" where there is none; HTTPException 400 where it is no text, or too long."""
    value = body.get(key) or ""
    if not isinstance(value, str) or len(value) > most:
        raise HTTPException(400)
    return value


def number(body: dict[str, object], key: str, low: float, high: float) -> float:
    """Return the number under `key`; HTTPException 400 where it is none within the bounds."""
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise HTTPException(400)
    if not low <= value <= high:
        raise HTTPException(400)
    return float(value)

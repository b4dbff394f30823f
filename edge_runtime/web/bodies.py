"""What a request sends: bounded in size and time, and read as a JSON object."""

import asyncio
import json
import math
import time
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from ..bundle.errors import InputError

BODY_SECONDS = 10.0  # in which a body has to arrive
MOST_DIGITS = 20  # of a whole number, with its sign


def announced(scope: Scope) -> int:
    """Return how many bytes the request says its body has, 0 where it does not say."""
    told = dict(scope["headers"]).get(b"content-length", b"")
    return int(told) if told.isdigit() and len(told) < 16 else 0


def is_utf8(request: Request) -> bool:
    """Whether the request names no other character set for its body. By some, text holds halves of characters."""
    _, options = parse_options_header(request.headers.get("content-type"))
    return options.get(b"charset", b"utf-8").lower() in (b"utf-8", b"utf8")


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


async def json_object(request: Request) -> dict[str, Any]:
    """Return the JSON object that the request carries.

    InputError where it carries none, and for what is JSON and can be neither stored nor shown: halves of characters
    (`"\\ud800"`), numbers that are not finite, and whole ones that no float holds.
    """
    try:
        content = json.loads(
            (await request.body()).decode(), parse_float=_finite, parse_int=_whole, parse_constant=_none
        )
        json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InputError("the request carries no JSON object that can be used; load the page again")
    return content


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(text)
    return value


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(text)
    return int(text)


def _none(text: str) -> float:
    raise ValueError(text)

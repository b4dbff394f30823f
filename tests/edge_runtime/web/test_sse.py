"""Live values to many viewers."""

import asyncio
import json
import threading
import time

import pytest

pytest.importorskip("starlette", reason="the extra station is not installed")

from starlette.exceptions import HTTPException
from starlette.requests import Request

from edge_runtime.web.access import ACCESS
from edge_runtime.web.sse import LiveValues


class Door:
    """An access whose session can be ended."""

    open = True

    def session(self, request):
        return object() if self.open else None


def request_by(door):
    return Request({"type": "http", "method": "GET", "headers": [], ACCESS: door})


async def lines(answer, until):
    """What the stream says until `until` is in it, at most 5 s."""
    said = ""

    async def read():
        nonlocal said
        async for part in answer.body_iterator:
            said += part
            if until in said:
                return

    await asyncio.wait_for(read(), 5)
    await answer.body_iterator.aclose()
    return said


def test_a_viewer_gets_the_newest_value_at_once_and_each_that_comes_from_another_thread():
    values = LiveValues()
    for number in range(3):
        values.publish({"n": number})

    async def watch():
        answer = values.answer(request_by(Door()))
        threading.Timer(0.1, values.publish, [{"n": "later"}]).start()
        return await lines(answer, "later")

    said = [json.loads(line[6:]) for line in asyncio.run(watch()).splitlines() if line.startswith("data: ")]
    assert said == [{"n": 2}, {"n": "later"}]
    assert values.viewers == 0


def test_who_reads_slowly_misses_values_and_nothing_queues_up():
    values = LiveValues()

    async def watch():
        stream = values.answer(request_by(Door())).body_iterator
        await anext(stream)
        values.publish(0)
        said = [await anext(stream)]
        for number in range(1, 1000):
            values.publish(number)
        said.append(await anext(stream))
        await stream.aclose()
        return said

    assert asyncio.run(watch()) == ["data: 0\n\n", "data: 999\n\n"]


def test_a_connection_without_news_is_known_to_be_alive():
    values = LiveValues(heartbeat=0.05)

    async def watch():
        return await lines(values.answer(request_by(Door())), "event: heartbeat")

    assert "event: heartbeat" in asyncio.run(watch())


def test_a_stream_ends_with_its_session():
    values, door = LiveValues(heartbeat=0.05), Door()

    async def watch():
        answer = values.answer(request_by(door))
        threading.Timer(0.1, setattr, [door, "open", False]).start()
        return await lines(answer, "event: ended")

    began = time.monotonic()
    assert "event: ended" in asyncio.run(watch())
    assert time.monotonic() - began < 2


def test_there_are_never_too_many_viewers():
    values = LiveValues(most=2)

    async def watch():
        streams = [values.answer(request_by(Door())).body_iterator for _ in range(2)]
        for stream in streams:
            await anext(stream)
        with pytest.raises(HTTPException) as refused:
            values.answer(request_by(Door()))
        for stream in streams:
            await stream.aclose()
        return refused.value.status_code

    assert asyncio.run(watch()) == 503
    assert values.viewers == 0


def test_a_stream_ends_where_nobody_says_any_more_that_its_value_holds():
    values = LiveValues(heartbeat=0.05, stale=0.3)
    values.publish({"n": 1})

    async def watch():
        stream = values.answer(request_by(Door())).body_iterator
        said = ""
        for _ in range(4):
            said += await asyncio.wait_for(anext(stream), 5)
            values.publish({"n": 1})  # it holds on
        async for part in stream:
            said += part
        with pytest.raises(HTTPException) as refused:  # what is stale is shown to nobody new
            values.answer(request_by(Door()))
        return said, refused.value.status_code

    said, status = asyncio.run(watch())
    assert said.count('data: {"n"') == 1
    assert "event: ended" not in said
    assert status == 503

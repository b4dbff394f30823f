"""What requests may send."""

import asyncio

import pytest

pytest.importorskip("starlette", reason="the extra station is not installed")

from starlette.exceptions import HTTPException
from starlette.requests import Request

from edge_runtime.bundle.errors import InputError
from edge_runtime.web.bodies import announced, bounded, json_object
from tests.support.web_pages import SmallApp, log_in


def arriving(*parts, every=0.0):
    """A `receive` that brings the parts of a body one by one, and then nothing."""
    left = list(parts)

    async def receive():
        await asyncio.sleep(every if left else 3600)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return receive


def body_of(receive, most=10, seconds=5.0):
    scope = {"type": "http", "method": "POST", "headers": []}
    return asyncio.run(Request(scope, bounded(receive, most, seconds)).body())


def test_a_body_up_to_the_bound_comes_whole():
    assert body_of(arriving(b"01234", b"56789")) == b"0123456789"


def test_a_streamed_body_is_refused_once_it_passes_the_bound():
    with pytest.raises(HTTPException) as refused:
        body_of(arriving(b"01234", b"567890", b"never read"))
    assert refused.value.status_code == 413


@pytest.mark.parametrize(("told", "bytes_"), [(b"11", 11), (b"", 0), (b"-5", 0), (b"x", 0), (b"9" * 5000, 0)])
def test_what_a_request_says_of_its_length_is_read_where_it_is_a_number(told, bytes_):
    assert announced({"headers": [(b"content-length", told)]}) == bytes_


def test_a_body_that_drips_is_given_up():
    with pytest.raises(HTTPException) as refused:
        body_of(arriving(b"0", b"1", b"2", b"3", every=0.05), seconds=0.12)
    assert refused.value.status_code == 408


@pytest.mark.parametrize("length", ["70000", None])
def test_an_oversized_post_is_answered_413_and_changes_nothing(tmp_path, length):
    small = SmallApp(tmp_path)
    client = small.client()
    token = log_in(client)
    body = b'{"verdict": "' + b"x" * 70_000 + b'"}'
    content = body if length else (body[i : i + 1000] for i in range(0, len(body), 1000))
    refused = client.post("/judge", content=content, headers={"X-CSRF-Token": token})
    assert refused.status_code == 413
    assert "too large" in refused.text
    assert small.seen == []


BAD = (
    *(b"", b"[]", b"3", b"{", b"\xff", b"[" * 5000, b'{"a":' * 5000),
    *(b'{"a": "\\ud800"}', b'{"a": 1e999}', b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": ' + b"9" * 400 + b"}"),
)


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_what_is_no_json_object_that_can_be_used_is_told(body):
    scope = {"type": "http", "method": "POST", "headers": []}
    with pytest.raises(InputError, match="load the page again"):
        asyncio.run(json_object(Request(scope, arriving(body))))


def test_a_json_object_comes_as_it_is():
    body = '{"label": "Öl", "n": -3, "share": 0.5, "smile": "\\ud83d\\ude00", "none": null}'.encode()
    found = asyncio.run(json_object(Request({"type": "http", "method": "POST", "headers": []}, arriving(body))))
    assert found == {"label": "Öl", "n": -3, "share": 0.5, "smile": "😀", "none": None}

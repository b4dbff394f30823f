"""Requests of every kind to every route of an application, drawn by hypothesis: none may end in a bug."""

import ast
import inspect
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route
from starlette.testclient import TestClient

PARAMETER = re.compile(r"\{[^}]*\}")
WORD = re.compile(r"[A-Za-z_][\w-]{0,30}")
NASTY = (
    *("", "0", "-1", "1e999", "nan", "9" * 400, "true", "null", "[]", "=", "x" * 3000),
    *("../../etc/passwd", "..\\..\\x", "/etc/passwd", "%2e%2e%2f", "a\0b", "\r\nX: y"),
    *("\ud800", "\u202e", "é", "１２", "<script>alert(1)</script>", "' OR 1=1 --", "{{7*7}}", "{n}"),
    *("2026-13-45", "2026-11-26T03:00:00Z", "2026-11-26T03:00:00+99:00", "0001-01-01", "9999-12-31T23:59:59"),
)
KINDS = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
)
REFUSED_KIND = "multipart/form-data; boundary=x; charset=utf-7"
Drawn = tuple[str, str, dict[str, str], bytes]
Draw = Callable[[st.SearchStrategy[Any]], Any]


def words_of(routes: Iterable[Route]) -> list[str]:
    """Names that the endpoints' modules speak of: of parameters, of values, of keys of a body."""
    found: set[str] = set()
    for module in {inspect.getmodule(inspect.unwrap(route.endpoint)) for route in routes} - {None}:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORD.fullmatch(node.value):
                found.add(node.value)
    return sorted(found)


def drawn_requests(route: Route, words: list[str], known: Iterable[str]) -> st.SearchStrategy[Drawn]:
    """Method, address, headers and body of requests to `route`; `known` are values that mean something, such as ids."""
    names = st.sampled_from(words)
    value = st.one_of(st.sampled_from(NASTY), st.sampled_from([*known, "1", "2"]), names, st.text(max_size=40))
    leaf = st.one_of(value, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False))
    part = st.one_of(leaf, st.lists(leaf, max_size=4), st.dictionaries(names, leaf, max_size=3))
    bodies = st.dictionaries(names, part, max_size=6)
    pairs = st.lists(st.tuples(names, value.map(_utf8)), max_size=4)

    @st.composite
    def request(draw: Draw) -> Drawn:
        methods = sorted(route.methods or ())
        method = draw(st.sampled_from([*methods * 5, "POST", "PUT"]))
        path = PARAMETER.sub(lambda _: quote(_utf8(draw(value)), safe=""), route.path)
        accept, kind = (
            draw(st.sampled_from(["text/html", "application/json", "*/*"])),
            draw(st.sampled_from([*KINDS * 5, REFUSED_KIND])),
        )
        return (
            method,
            f"{path}?{urlencode(draw(pairs))}",
            {"Accept": accept, "Content-Type": kind},
            _content(draw, kind, bodies),
        )

    return request()


def _utf8(value: str) -> bytes:
    return value.encode("utf-8", "replace")


def _content(draw: Draw, kind: str, bodies: st.SearchStrategy[dict[str, Any]]) -> bytes:
    if kind.startswith("multipart") or draw(st.integers(0, 9)) == 0:
        return bytes(draw(st.binary(max_size=200)))
    body = draw(bodies)
    if kind == "application/json":
        return json.dumps(body).encode()
    return urlencode({key: _utf8(str(value)) for key, value in body.items()}).encode()


def find_no_bug(
    routes: Sequence[Route], clients: Sequence[tuple[TestClient, str]], known: Iterable[str] = (), examples: int = 30
) -> Counter[int]:
    """Send `examples` requests to each route, each by one of the `clients`; return how often each status came.

    A client comes with its session's token, or "". One that raises exceptions of the application shows the bug itself;
    else a 500 is an AssertionError. Leave routes out that end the session, and streams, which never end.
    """
    statuses: Counter[int] = Counter()
    words = words_of(routes)
    for route in routes:
        _fuzz(drawn_requests(route, words, known), clients, examples, statuses)
    return statuses


def _fuzz(
    requests: st.SearchStrategy[Drawn], clients: Sequence[tuple[TestClient, str]], examples: int, statuses: Counter[int]
) -> None:
    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(requests, st.sampled_from(range(len(clients))), st.integers(0, 3))
    def send(request: Drawn, who: int, without: int) -> None:
        method, url, headers, content = request
        client, token = clients[who]
        if token and without:
            headers = {**headers, "X-CSRF-Token": token}
        answer = client.request(method, url, headers=headers, content=content)
        statuses[answer.status_code] += 1
        assert answer.status_code < 500 or answer.status_code == 503, (method, url, answer.text)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "Traceback" not in answer.text

    send()

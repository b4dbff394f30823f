"""The server over real connections."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from dataclasses import replace

import pytest

pytest.importorskip("uvicorn", reason="the extra station is not installed")

from starlette.routing import Route

from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.web import server
from edge_runtime.web.access import require
from edge_runtime.web.accounts import Role
from edge_runtime.web.secured import secured
from edge_runtime.web.server import certificate_names, listen, serve, try_page
from edge_runtime.web.settings import PageSection
from edge_runtime.web.sse import LiveValues
from tests.support.own_certificate import make_certificate
from tests.support.web_pages import SmallApp, log_in, write_users


class Running:
    """`app` served in a thread at `port` until the block ends."""

    def __init__(self, app, **options):
        self.listening = listen("127.0.0.1", 0)
        self.port = self.listening.getsockname()[1]
        self.stop, ready = threading.Event(), threading.Event()
        self.thread = threading.Thread(
            target=serve, args=(app, self.listening, self.stop), kwargs={**options, "ready": ready.set}
        )
        self.thread.start()
        assert ready.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


def test_a_taken_port_is_told():
    with listen("127.0.0.1", 0) as taken, pytest.raises(UnavailableError, match="choose another host or port"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_an_answer_of_two_packets_waits_for_no_acknowledgement():
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_it_answers_tells_no_versions_and_gives_the_port_back(tmp_path):
    with Running(SmallApp(tmp_path).app) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        connection.request("GET", "/login")
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("server") is None
        connection.close()
    listen("127.0.0.1", running.port).close()


def test_the_loop_that_answers_gives_signs_of_life(tmp_path):
    signs = threading.Event()
    with Running(SmallApp(tmp_path).app, alive=signs.set):
        assert signs.wait(10)


def test_under_tls_it_answers_by_its_certificate(tmp_path):
    certificate = make_certificate(tmp_path)
    small = SmallApp(tmp_path, tls=True)
    with Running(small.app, cert_file=certificate, key_file=certificate.with_suffix(".key")) as running:
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", running.port, timeout=10, context=context)
        connection.request("GET", "/login")
        assert connection.getresponse().status == 200
        connection.close()


def test_the_names_of_a_certificate_are_read_from_it(tmp_path):
    certificate = make_certificate(tmp_path, host="DNS:north-7.example,DNS:*.plant.example,IP:10.0.0.7")
    assert certificate_names(certificate) == ["north-7.example", "*.plant.example", "10.0.0.7"]
    (tmp_path / "no.crt").write_text("no certificate")
    with pytest.raises(InputError, match="in PEM form"):
        certificate_names(tmp_path / "no.crt")


def test_what_the_settings_of_the_page_name_is_tried(tmp_path):
    users, certificate = write_users(tmp_path), make_certificate(tmp_path, host="DNS:north-7.example")
    key = certificate.with_suffix(".key")
    section = PageSection(users_file=users, host="0.0.0.0", port=0, cert_file=certificate, key_file=key)
    says = try_page(section, free=True)
    assert says == "page on https://0.0.0.0:0, by the names north-7.example; users: anna (operator), wall (viewer)"
    with pytest.raises(InputError, match="cannot be used"):
        try_page(replace(section, key_file=users), free=True)
    with pytest.raises(InputError, match="nobody could log in"):
        try_page(PageSection(), free=True)
    with listen("127.0.0.1", 0) as taken:
        used = PageSection(users_file=users, port=taken.getsockname()[1])
        assert try_page(used, free=False).startswith("page on http://127.0.0.1:")
        with pytest.raises(UnavailableError, match="choose another"):
            try_page(used, free=True)


def test_a_key_that_does_not_fit_is_told(tmp_path):
    certificate, other = make_certificate(tmp_path), make_certificate(tmp_path, "other")
    with listen("127.0.0.1", 0) as listening, pytest.raises(InputError, match="cannot be used"):
        serve(SmallApp(tmp_path).app, listening, threading.Event(), certificate, other.with_suffix(".key"))


def test_it_ends_within_five_seconds_with_streams_open(tmp_path):
    small, values = SmallApp(tmp_path), LiveValues()

    @require(Role.VIEWER)
    async def live(request):
        return values.answer(request)

    client = small.client()
    log_in(client)
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    with Running(secured([Route("/live", live)], small.access, small.pages)) as running:
        connections = [http.client.HTTPConnection("127.0.0.1", running.port, timeout=10) for _ in range(3)]
        for connection in connections:
            connection.request("GET", "/live", headers={"Cookie": cookie})
            assert connection.getresponse().readline() == b"retry: 2000\n"
        assert values.viewers == 3
        began = time.monotonic()
        running.stop.set()
        running.thread.join(10)
        assert time.monotonic() - began < 5
        for connection in connections:
            connection.close()


def test_who_does_not_finish_a_request_is_hung_up_on(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    with Running(SmallApp(tmp_path).app) as running:
        silent, slow = (socket.create_connection(("127.0.0.1", running.port), timeout=5) for _ in range(2))
        slow.sendall(b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
        slow.sendall(b"GET /login HTTP/1.1\r\nHost:")  # a second one, never finished
        for connection in (silent, slow):
            with connection, contextlib.suppress(ConnectionResetError):
                while connection.recv(65536):  # fails the test after 5 s of silence
                    pass

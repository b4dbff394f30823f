"""The webhook against a real HTTP server that checks signatures, refuses, delays and breaks off."""

import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from edge_runtime.alerts.outbox import Entry, Outbox
from edge_runtime.alerts.outbox_spool import OutboxSpool
from edge_runtime.alerts.sender import Sender
from edge_runtime.alerts.settings import WebhookSection
from edge_runtime.alerts.sink import TAKEN, Verdict
from edge_runtime.alerts.webhook_sink import SLOW_SECONDS, WebhookSink, http_answer
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.delays import send_delay
from tests.support.sample_events import delivery_states, record, wait_until
from tests.support.webhook_receiver import SECRET, Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    return path


@pytest.fixture
def entry(tmp_path: Path) -> Iterator[Entry]:
    outbox = Outbox(tmp_path / "state", ["webhook"])
    outbox.commit(record(0, size=100))
    yield outbox.next("webhook")
    outbox.close()


def sink(port: int, secret: Path, timeout: float = 5.0) -> WebhookSink:
    return WebhookSink(WebhookSection(f"http://127.0.0.1:{port}/hook?site=7", secret_file=secret, timeout=timeout))


def test_a_check_without_its_certificate_file_is_a_sentence(secret, tmp_path):
    settings = WebhookSection("https://127.0.0.1:1/hook", secret_file=secret, ca_file=tmp_path / "none.pem")
    with pytest.raises(UnavailableError, match=r"^ca_file .*none.pem cannot be read \(No such file"):
        WebhookSink(settings).check()


def test_a_signed_event_is_taken(receiver, secret, entry):
    assert sink(receiver.port, secret).send(entry) == TAKEN
    assert receiver.accepted == [entry.document]


def test_a_wrong_secret_is_a_matter_of_settings(receiver, tmp_path, entry):
    (tmp_path / "wrong").write_text("guess")
    answer = sink(receiver.port, tmp_path / "wrong").send(entry)
    assert (answer.verdict, answer.retry_after) == (Verdict.UNREACHABLE, SLOW_SECONDS)
    assert answer.reason == "the webhook answers 401; check its url and secret"
    assert receiver.accepted == []


def test_an_absent_secret_is_named(receiver, tmp_path, entry):
    answer = sink(receiver.port, tmp_path / "absent").send(entry)
    assert answer.verdict is Verdict.UNREACHABLE
    assert "absent cannot be read" in answer.reason
    assert receiver.requests == 0


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.TAKEN),
        (299, Verdict.TAKEN),
        (301, Verdict.UNREACHABLE),
        (400, Verdict.REFUSED),
        (403, Verdict.UNREACHABLE),
        (404, Verdict.UNREACHABLE),
        (408, Verdict.UNREACHABLE),
        (413, Verdict.REFUSED),
        (422, Verdict.REFUSED),
        (429, Verdict.UNREACHABLE),
        (500, Verdict.UNREACHABLE),
        (503, Verdict.UNREACHABLE),
    ],
)
def test_what_a_status_means(status, verdict):
    assert http_answer(status).verdict is verdict


@pytest.mark.parametrize(("header", "seconds"), [("17", 17.0), ("999999", 3600.0), ("soon", None), ("-1", None)])
def test_the_receiver_may_ask_for_time(receiver, secret, entry, header, seconds):
    receiver.statuses.append((503, {"Retry-After": header}))
    answer = sink(receiver.port, secret).send(entry)
    assert (answer.verdict, answer.retry_after) == (Verdict.UNREACHABLE, seconds)


def test_a_redirect_is_not_followed(receiver, secret, entry):
    receiver.statuses.append((307, {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"}))
    assert sink(receiver.port, secret).send(entry).verdict is Verdict.UNREACHABLE
    assert receiver.requests == 1


@pytest.mark.parametrize("words", [b"", b"SSH-2.0-OpenSSH\r\n"])
def test_a_server_that_hangs_up_or_speaks_otherwise_is_unreachable(secret, entry, words):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1 << 16)
                peer.sendall(words)

        thread = threading.Thread(target=hang_up)
        thread.start()
        answer = sink(listener.getsockname()[1], secret).send(entry)
        thread.join()
    assert answer.verdict is Verdict.UNREACHABLE


def test_a_server_that_drips_is_given_up_in_time(secret, entry):
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            peer, _ = listener.accept()
            with peer:
                while not stop.wait(0.1):
                    try:
                        peer.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        answer = sink(listener.getsockname()[1], secret, timeout=0.5).send(entry)
        stop.set()
        thread.join()
    assert answer.verdict is Verdict.UNREACHABLE
    assert time.monotonic() - started < 3


def test_closing_ends_a_request_that_waits(secret, entry):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        made = sink(mute.getsockname()[1], secret, timeout=60.0)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(made.send(entry)))
        thread.start()
        peer, _ = mute.accept()
        assert peer.recv(1 << 16)
        made.close()
        thread.join(5)
        peer.close()
    assert [answer.verdict for answer in answers] == [Verdict.UNREACHABLE]


def test_the_address_stays_out_of_the_reason_where_it_is_a_secret(tmp_path, secret, entry):
    (tmp_path / "url").write_text("http://127.0.0.1:9/hunter2\x7f/")
    answer = WebhookSink(WebhookSection(url_file=tmp_path / "url", secret_file=secret)).send(entry)
    assert answer.verdict is Verdict.UNREACHABLE
    assert "hunter2" not in answer.reason


def test_events_arrive_in_order_through_errors_and_a_refused_one_is_parked(receiver, secret, tmp_path):
    outbox = Outbox(tmp_path / "state", ["webhook"])
    quick = partial(send_delay, first=0.01, cap=0.05)
    sender = Sender(outbox, sink(receiver.port, secret), quick, quick)
    spool = OutboxSpool(outbox, on_commit=sender.wake)
    receiver.statuses += [(500, {}), (503, {}), (422, {}), (429, {})]
    for number in range(4):
        spool.record(record(number))
    sender.start()
    wait_until(lambda: outbox.pending("webhook") == 0)
    assert [event["number"] for event in receiver.accepted] == [1, 2, 3]
    assert delivery_states(outbox, "webhook") == {"parked": 1, "delivered": 3}
    sender.begin_stop()
    sender.join(5)
    outbox.close()

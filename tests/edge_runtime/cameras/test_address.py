"""Addresses, credentials that must not show, logins by the books' examples, waits, regions, and the shared board."""

import subprocess
import sys
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.bundle.errors import InputError
from edge_runtime.cameras.address import Kind, parse_source
from edge_runtime.cameras.mjpeg import jpegs
from edge_runtime.cameras.regions import Region
from edge_runtime.cameras.rtsp_describe import AnswerTimeout, SourceFailed, digest_login
from edge_runtime.cameras.shared_frame import MAX_FRAME_BYTES, Field, SharedFrame
from edge_runtime.causes import Cause
from edge_runtime.delays import CAP_SECONDS, Backoff
from edge_runtime.redact import redact
from tests.support import ROOT
from tests.support.fake_mjpeg_camera import FaultServer

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), min_size=4, max_size=20)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("open rtsp://admin:12345@10.0.0.5:554/live", "open rtsp://***@10.0.0.5:554/live"),
        ("rtsp://admin:p@ss@host/x", "rtsp://***@host/x"),
        ("rtsp://admin:p/a@host/x", "rtsp://***@host/x"),
        ("http://host/cgi?user=admin&pwd=x%20y&channel=1", "http://host/cgi?user=***&pwd=***&channel=1"),
        ("rtsp://host/user=admin&password=abc&channel=1.sdp", "rtsp://host/user=***&password=***&channel=1.sdp"),
        ("RTSP://A:B@h 'HTTP://c:d@h'", "RTSP://***@h 'HTTP://***@h'"),
        ("Authorization: Basic YTpi\r\nHost: x", "Authorization: ***\r\nHost: x"),
        ("http://host/?access_token=abc;x=1", "http://host/?access_token=***;x=1"),
        ("mail to a@b about rtsp://host/live", "mail to a@b about rtsp://host/live"),
        ("no secret here", "no secret here"),
    ],
)
def test_redaction(text, clean):
    assert redact(text) == clean
    assert redact(clean) == clean


@given(WORDS, WORDS)
def test_no_password_survives_in_any_form(user, password):
    source = parse_source("rtsp://host/live", user, password)
    text = f"{source.with_credentials()} said {password} and {quote(password, safe='')}"
    clean = redact(text, source.secrets)
    if password not in "rtsp://host/live said and ***":
        assert password not in clean
    assert source.address in clean.replace("***@", "")
    assert repr(source) == "Source(kind=<Kind.RTSP: 'rtsp'>)"
    assert source.shown == "rtsp://host/live"


@pytest.mark.parametrize(
    ("address", "kind", "shown", "login"),
    [
        ("rtsp://u:p@h/x", Kind.RTSP, "rtsp://h/x", ("u", "p")),
        ("rtsp://u:p@w@h:8554/x@1", Kind.RTSP, "rtsp://h:8554/x@1", ("u", "p@w")),
        ("rtsp://h/live@1", Kind.RTSP, "rtsp://h/live@1", (None, None)),
        ("http://u:a%2Fb@h/v", Kind.MJPEG, "http://h/v", ("u", "a/b")),
        ("https://h/v?x=1", Kind.MJPEG, "https://h/v?x=1", (None, None)),
        ("rtsp://[::1]:554/x", Kind.RTSP, "rtsp://[::1]:554/x", (None, None)),
        ("usb:1", Kind.USB, "/dev/video1", (None, None)),
        ("0", Kind.USB, "/dev/video0", (None, None)),
        ("/x/night.mp4", Kind.FILE, "/x/night.mp4", (None, None)),
        ("file:///x/night.mkv", Kind.FILE, "/x/night.mkv", (None, None)),
    ],
)
def test_addresses(address, kind, shown, login):
    source = parse_source(address)
    assert (source.kind, source.address, (source.user, source.password)) == (kind, shown, login)


def test_a_key_inside_the_address_reaches_the_camera_and_nobody_else():
    source = parse_source("http://h/cgi?pwd=s3cret&channel=1")
    assert source.address.endswith("pwd=s3cret&channel=1")
    assert "s3cret" not in source.shown + repr(source)


def test_credentials_from_elsewhere_win_and_survive_the_way_through_the_address():
    source = parse_source("rtsp://old:old@h/x", "new", "p@s/s:?#%")
    assert source.with_credentials() == "rtsp://new:p%40s%2Fs%3A%3F%23%25@h/x"
    assert parse_source(source.with_credentials()) == source


@pytest.mark.parametrize(
    "address", ["rtsp:///x", "rtsp://u:secret@/x", "rtsp://h:secret/x", "ftp://u:secret@h", "x.txt"]
)
def test_what_is_no_source_is_refused_without_its_secret(address):
    with pytest.raises(InputError) as caught:
        parse_source(address)
    assert "u:secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digest_gives_the_example_of_rfc_7616(algorithm, response):
    challenge = (
        f'realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    answer = digest_login(challenge, "GET", "/dir/index.html", "Mufasa", "Circle of Life", cnonce)
    assert f'response="{response}"' in answer


def test_the_wait_follows_the_outage_and_a_rejected_login_doubles():
    backoff = Backoff()
    assert backoff.wait(Cause.REFUSED, 1, 1, 0.5) == 0.5
    assert backoff.wait(Cause.REFUSED, 60, 30, 0.5) == 1.5
    assert backoff.wait(Cause.TIMEOUT, 60, 3, 1.0) == pytest.approx(1.875)
    assert backoff.wait(Cause.REFUSED, 86400, 999, 1.0) == CAP_SECONDS
    assert [backoff.wait(Cause.AUTH, 1, tries, 0.5) for tries in (1, 2, 3, 9)] == [5, 10, 20, 60]
    assert {backoff.wait(Cause.REFUSED, 60, 1) for _ in range(20)} != {1.5}


def test_regions_in_fractions_and_pixels():
    frame = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert np.array_equal(Region("a", 0.5, 0.25, 0.5, 0.5).crop(frame), frame[1:3, 3:])
    assert np.array_equal(Region("b", 2, 1, 4, 3).crop(frame), frame[1:, 2:])
    assert Region("c", 0.999, 0.999, 0.001, 0.001).crop(frame).shape == (1, 1, 3)
    assert not Region("d", 2, 1, 5, 3).fits((4, 6))
    with pytest.raises(InputError, match="set the region anew"):
        Region("d", 2, 1, 5, 3).crop(frame)


@pytest.mark.parametrize("sides", [(0, 0, 0, 1), (-1, 0, 2, 2), (0.6, 0, 0.5, 1), (0.5, 0, 3, 3)])
def test_regions_that_cannot_be_are_refused(sides):
    with pytest.raises(InputError):
        Region("x", *sides)


def test_the_board_gives_the_newest_frame_once():
    board = SharedFrame()
    assert board.newest() is None
    for level in (1, 2, 3):
        assert board.publish(np.full((2, 3, 3), level, np.uint8), float(level), 0.0)
    shot = board.newest()
    assert (shot.sequence, shot.captured, shot.frame.shape, int(shot.frame.max())) == (3, 3.0, (2, 3, 3), 3)
    assert board.newest(3) is None
    board.cause = Cause.STALLED
    assert board.cause is Cause.STALLED
    board.cause = None
    assert board.cause is None
    largest = np.zeros((2160, 3840, 3), np.uint8)
    assert largest.nbytes == MAX_FRAME_BYTES
    assert board.publish(largest, 0, 0)
    board.close()


WRITER = """
import sys, time
import numpy as np
from edge_runtime.cameras.shared_frame import SharedFrame
board = SharedFrame(int(sys.argv[1]))
print("ready", flush=True)
level = 0
while True:
    level = (level + 1) % 256
    board.publish(np.full((300 + level, 400, 3), level, np.uint8), time.monotonic(), 0.0)
"""


def test_a_reader_never_sees_a_mixture_and_a_killed_writer_leaves_no_lock():
    board = SharedFrame()
    seen = 0
    for _ in range(3):
        command = [sys.executable, "-c", WRITER, str(board.handle)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=(board.handle,), cwd=ROOT) as writer:
            writer.stdout.readline()
            last, found = int(board[Field.NEWEST]), 0
            while found < 200:
                if (shot := board.newest(last)) is not None:
                    level = int(shot.frame[0, 0, 0])
                    assert shot.frame.shape[0] == 300 + level
                    assert (shot.frame == level).all()
                    assert shot.sequence > last
                    last, found = shot.sequence, found + 1
            writer.kill()
        seen += found
        assert board.publish(np.zeros((1, 1, 3), np.uint8), 0, 0)
        assert board.newest().frame.shape == (1, 1, 3)
    assert seen == 600
    board.close()


def patience() -> AnswerTimeout:
    return AnswerTimeout(2, 1, lambda: None)


class Unsized(FaultServer):
    """Parts without Content-Length, as some cameras send them, and a boundary with its dashes."""

    def _answer(self, link):
        link.recv(4096)
        head = b'HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary="--b"\r\n\r\n'
        part = b"--b\r\nContent-Type: image/jpeg\r\n\r\n"
        body = part + b"\xff\xd8one\n\r\n" + part + b"two\r\n\r\nx\r\n--b--\r\n"
        link.sendall(head + b"preamble\r\n" + body)
        return False


def test_parts_without_a_length_end_at_the_boundary():
    with Unsized() as server:
        parts = list(jpegs(parse_source(server.url()), patience(), 2))
    assert [part.rstrip(b"\r\n") for part in parts] == [b"\xff\xd8one", b"two\r\n\r\nx"]


def test_no_certificate_that_nobody_vouches_for_and_no_tls_at_all():
    with FaultServer() as server, pytest.raises(SourceFailed) as caught:
        next(jpegs(parse_source(server.url().replace("http:", "https:")), patience(), 2))
    assert caught.value.cause in (Cause.AUTH, Cause.TIMEOUT)


def test_every_cause_says_what_to_do():
    assert all(cause.advice and cause.advice[0].islower() for cause in Cause)

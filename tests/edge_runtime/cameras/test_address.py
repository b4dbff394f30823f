"""Addresses: what they mean, and credentials that must not show."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.bundle.errors import InputError
from edge_runtime.cameras.address import Kind, parse_address
from edge_runtime.redact import redact

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), min_size=4, max_size=20)


@given(WORDS, WORDS)
def test_no_password_survives_in_any_form(user, password):
    source = parse_address("rtsp://host/live", user, password)
    text = f"{source.with_credentials()} said {password} and {quote(password, safe='')}"
    clean = redact(text, source.secrets)
    if password not in "rtsp://host/live said and ***":
        assert password not in clean
        assert source.location in clean.replace("***@", "")
    assert repr(source) == "CameraAddress(kind=<Kind.RTSP: 'rtsp'>)"


@pytest.mark.parametrize(
    ("address", "kind", "location", "login"),
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
def test_addresses(address, kind, location, login):
    source = parse_address(address)
    assert (source.kind, source.location, (source.user, source.password)) == (kind, location, login)


def test_a_key_inside_the_address_reaches_the_camera_and_nobody_else():
    source = parse_address("http://h/cgi?pwd=s3cret&channel=1")
    assert source.location.endswith("pwd=s3cret&channel=1")
    assert "s3cret" not in redact(source.location) + repr(source)


def test_credentials_from_elsewhere_win_and_survive_the_way_through_the_address():
    source = parse_address("rtsp://old:old@h/x", "new", "p@s/s:?#%")
    assert source.with_credentials() == "rtsp://new:p%40s%2Fs%3A%3F%23%25@h/x"
    assert parse_address(source.with_credentials()) == source


@pytest.mark.parametrize(
    "address",
    [
        "rtsp:///x",
        "rtsp://u:secret@10..0.5/x",
        "a" * 300,
        "rtsp://u:secret@/x",
        "rtsp://h:secret/x",
        "ftp://u:secret@h",
        "x.txt",
    ],
)
def test_what_is_no_source_is_refused_without_its_secret(address):
    with pytest.raises(InputError) as caught:
        parse_address(address)
    assert "u:secret" not in str(caught.value)

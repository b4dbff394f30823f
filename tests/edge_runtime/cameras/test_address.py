"""Addresses: what they mean, and credentials that must not show."""

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.bundle.errors import InputError
from edge_runtime.cameras.address import Kind, anchored, parse_address
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
        ("file:///x/the%20night.mkv", Kind.FILE, "/x/the night.mkv", (None, None)),
        ("file://localhost/x/a b.mkv", Kind.FILE, "/x/a b.mkv", (None, None)),
        ("file:/x/night.mkv", Kind.FILE, "/x/night.mkv", (None, None)),
        ("/not/mounted/yet/", Kind.FOLDER, "/not/mounted/yet", (None, None)),
        ("/dev/v4l/by-id/usb-Cam-index0", Kind.USB, "/dev/v4l/by-id/usb-Cam-index0", (None, None)),
        ("usb:/dev/yard", Kind.USB, "/dev/yard", (None, None)),
        ("RTSPS://h/x", Kind.RTSP, "rtsps://h/x", (None, None)),
        ("http://h/v?name=yard one", Kind.MJPEG, "http://h/v?name=yard%20one", (None, None)),
        ("http://h/v?mail=a@b.com", Kind.MJPEG, "http://h/v?mail=a@b.com", (None, None)),
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
        "rtsp://u:secret/word@10.0.0.5/live",
        "rtsp://u:secret@s/s:w%41?#1@10.0.0.5:554/live",
        "rtsp://u:secret/12@[::1]:554",
        "file://nas/u:secret@h.mp4",
        "x.txt",
        anchored(" ", Path("/etc")),
        "rtsp://h/x\n# the yard",
        "http://h/x\r\nX-More: header",
    ],
)
def test_what_is_no_source_is_refused_without_its_secret(address):
    with pytest.raises(InputError) as caught:
        parse_address(address)
    assert "u:secret" not in str(caught.value)


def test_a_raw_slash_in_a_password_is_told_with_its_remedy():
    with pytest.raises(InputError, match=r"a / before an @; in a user or password write %2F for /.*password_file"):
        parse_address("rtsp://maint:p@s/s:w%41?#1@127.0.0.1:18556/main")


@pytest.mark.parametrize(
    ("address", "authority"),
    [
        ("http://[::1]:8080/x", "[::1]:8080"),
        ("http://[fe80::1%25eth0]/x", "[fe80::1]"),
        ("https://cam:443/x", "cam"),
        ("http://cam:443/x", "cam:443"),
        ("http://kühl.example/x", "xn--khl-hoa.example"),
    ],
)
def test_the_header_host_is_as_rfc_9110_has_it(address, authority):
    assert parse_address(address).authority == authority


def test_a_relative_path_counts_from_the_folder_of_the_settings(tmp_path):
    assert anchored("clips/yard.mp4", tmp_path) == str(tmp_path / "clips" / "yard.mp4")
    assert anchored("ftp/", tmp_path) == f"{tmp_path}/ftp/"
    for address in ("rtsp://h/x", "usb:0", "0", "/dev/video0", "/srv/a.mp4", "file:///a.mp4"):
        assert anchored(address, Path("/etc/rarefault")) == address
        assert anchored(f" {address}\t", Path("/etc/rarefault")) == address


def test_a_folder_is_found_in_either_spelling_of_its_umlauts(tmp_path):
    (tmp_path / "Ho\u0308fe").mkdir()
    source = parse_address(str(tmp_path / "H\u00f6fe"))
    assert (source.kind, source.location) == (Kind.FOLDER, str(tmp_path / "Ho\u0308fe"))


def test_a_percent_sign_in_a_name_stays_where_there_is_such_a_file(tmp_path):
    (tmp_path / "a%20b.mp4").touch()
    assert parse_address(f"file://{tmp_path}/a%20b.mp4").location == f"{tmp_path}/a%20b.mp4"

"""Text without credentials."""

import pytest

from edge_runtime.redact import redact


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

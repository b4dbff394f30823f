"""[page] of station.toml."""

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.settings_reader import build
from edge_runtime.web.settings import PageSection


def test_the_page_is_for_this_machine_alone_unless_it_is_told_otherwise():
    assert build(PageSection, {}, "page").host == "127.0.0.1"
    for host in ("127.0.0.2", "::1", "[::1]", "localhost"):
        assert build(PageSection, {"host": host}, "page").host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.7", "north-7.example"])
def test_beyond_this_machine_there_is_no_page_without_tls(host):
    with pytest.raises(InputError, match="SSH tunnel"):
        build(PageSection, {"host": host}, "page")
    section = build(PageSection, {"host": host, "cert_file": "page.crt", "key_file": "page.key"}, "page")
    assert section.host == host


def test_certificate_and_key_belong_together():
    with pytest.raises(InputError, match="belong together"):
        build(PageSection, {"cert_file": "page.crt"}, "page")

"""How pages are made."""

import pytest

pytest.importorskip("starlette", reason="the extra station is not installed")

from jinja2 import UndefinedError
from starlette.routing import Route

from edge_runtime.web.access import require
from edge_runtime.web.accounts import Role
from edge_runtime.web.secured import secured
from edge_runtime.web.templates import Head, Pages
from tests.support.web_pages import SmallApp, log_in

EVIL = "<img src=x onerror=alert(1)>\"'</script>&amp;"


@pytest.fixture
def room(tmp_path):
    """A room of its own with a template that shows everything that a station may be named by others."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "x.js").write_text("export const x = 1;")
    (tmp_path / "templates" / "x.html").write_text(
        '{% extends "base.html" %}{% from "macros.html" import pill, tile, meter, night_bar, empty, figure, table %}'
        "{% block title %}{{ name }}{% endblock %}{% block main %}{{ pill('ok', name) }}"
        "{{ tile(name, 'off', name, picture='/x?' ~ name, alt=name) }}{{ meter(0.5, 0.4, words=name) }}"
        "{{ night_bar([{'from': 0.1, 'to': 0.2, 'state': 'bad', 'words': name}], name) }}{{ empty(name, name) }}"
        "{{ figure(name, name, note=name) }}{% call(row) table([name], [name]) %}<td>{{ row }}</td>{% endcall %}"
        '<script type="module" src="{{ static("x.js") }}"></script>{% endblock %}'
        "{% block data %}{{ script_data('data', {'name': name}) }}{% endblock %}"
    )
    return tmp_path


def shown(room, small, context):
    pages = Pages([room], lambda: Head(EVIL, "ok", EVIL))

    @require(Role.VIEWER)
    def home(request):
        return pages.answer(request, "x.html", context)

    client = small.client()
    log_in(client)
    app = secured([Route("/x", home)], small.access, pages)
    return client, app, client.__class__(app, str(client.base_url), cookies=client.cookies)


def test_whatever_a_page_is_given_it_stays_text(room, tmp_path):
    _, _, client = shown(room, SmallApp(tmp_path), {"name": EVIL})
    page = client.get("/x").text
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 12
    assert "<img src=x" not in page
    assert "</script>&amp" not in page.replace("&amp;amp;", "&amp")
    assert r'{"name": "\u003cimg src=x onerror=alert(1)\u003e\"\u0027\u003c/script\u003e\u0026amp;"}' in page


def test_a_name_that_was_not_given_is_a_bug_and_not_an_empty_place(room, tmp_path):
    _, _, client = shown(room, SmallApp(tmp_path), {})
    with pytest.raises(UndefinedError):
        client.get("/x")


def test_static_files_are_kept_by_the_browser_until_one_of_them_changes(room):
    one, other = Pages([], lambda: Head("x")), Pages([room], lambda: Head("x"))
    assert one.address("base.css") != other.address("base.css")
    with pytest.raises(KeyError):
        one.address("x.js")


def test_static_files_are_served_by_name_alone(room, tmp_path):
    small = SmallApp(tmp_path)
    client = small.client()
    found = client.get(small.pages.address("base.css"))
    assert (found.status_code, found.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in found.headers["cache-control"]
    assert client.get(small.pages.address("base.js")).headers["content-type"] == "text/javascript; charset=utf-8"
    for path in (
        "../templates/base.html",
        "..%2Ftemplates%2Fbase.html",
        "%2e%2e/accounts.py",
        "..%5caccounts.py",
        "/etc/passwd",
        "%00",
        "base.css/",
    ):
        assert client.get(f"/static/x/{path}").status_code == 404, path


def test_the_theme_is_one_of_those_that_there_are(tmp_path):
    client = SmallApp(tmp_path).client()
    for given, theme in (("light", "light"), ("contrast", "contrast"), ('"><script>', "auto"), ("", "auto")):
        page = client.get("/login", headers={"Cookie": f"theme={given}"}).text
        assert f'data-theme="{theme}"' in page

"""What stands around every page."""

import pytest

pytest.importorskip("starlette", reason="the extra station is not installed")

from tests.support.route_fuzz import find_no_bug
from tests.support.web_pages import SmallApp, browser_client, log_in


@pytest.fixture
def small(tmp_path):
    return SmallApp(tmp_path)


@pytest.mark.parametrize("path", ["/", "/login", "/nothing", "/bug", "/static/x/base.css", "/static/x/nothing"])
def test_every_answer_carries_the_policy_whatever_becomes_of_the_request(small, path):
    client = small.client()
    log_in(client)
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    for part in ("form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "[::1", "", "127.0.0.1@evil.example", "10.0.0.7:9465"]
)
def test_a_foreign_name_that_leads_to_this_machine_is_refused(small, host):
    refused = small.client().get("/login", headers={"Host": host})
    assert refused.status_code == 421
    assert "Add it to names" in refused.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1234", "[::1]:9465", "North-7.example", "cam.plant.example"])
def test_the_names_that_were_given_and_those_of_the_loopback_are_ours(tmp_path, host):
    small = SmallApp(tmp_path, names=("north-7.example", "*.plant.example"))
    assert small.client().get("/login", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_post_from_another_site_is_refused_even_with_the_right_token(small, headers):
    client = small.client()
    token = log_in(client)
    refused = client.post("/judge", json={"verdict": "right"}, headers={"X-CSRF-Token": token, **headers})
    assert refused.status_code == 403
    assert "another site" in refused.text
    assert small.seen == []
    fine = {"Origin": "http://127.0.0.1:9465", "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": token}
    assert client.post("/judge", json={"verdict": "right"}, headers=fine).status_code == 200


def test_a_bug_is_a_page_without_a_traceback(small):
    client = small.client()
    log_in(client)
    answer = client.get("/bug")
    assert answer.status_code == 500
    assert "Something went wrong inside the page" in answer.text
    assert "secret" not in answer.text
    assert "ValueError" not in answer.text


def test_expected_errors_are_told_as_they_are(small):
    client = small.client()
    log_in(client)
    assert client.get("/input").status_code == 400
    assert "expected one like 2026-11-26" in client.get("/input").text
    assert client.get("/away").status_code == 503
    assert client.get("/away", headers={"Accept": "application/json"}).json() == {"error": "the outbox cannot be read"}
    assert client.get("/away", headers={"Accept": "*/*"}).text == "the outbox cannot be read"


def test_unknown_addresses_and_methods_are_pages_too(small):
    client = small.client()
    assert "nothing at this address" in client.get("/nothing").text
    assert client.delete("/").status_code == 405
    assert client.get("/judge").status_code == 405
    assert client.request("TRACE", "/").status_code == 405


def test_no_request_of_any_kind_to_any_route_ends_in_a_bug(small):
    routes = [route for route in small.app.routes if route.path not in ("/bug", "/logout")]
    clients = []
    for name in ("", "wall", "anna"):
        client = browser_client(small.app, raise_bugs=True)
        clients.append((client, log_in(client, name) if name else ""))
    statuses = find_no_bug(
        routes, clients, ["anna", small.pages.address("base.css").split("/")[2], "base.css"], examples=20
    )
    assert {200, 303, 403, 405} <= set(statuses)  # it came to the endpoints, and to what guards them


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "undefined", '"UTF-7"'])
def test_a_form_in_another_character_set_is_refused_since_by_some_text_holds_halves_of_characters(small, charset):
    body = b'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n+2AA-\\ud800\r\n--x--\r\n'
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    refused = small.client().post("/login", content=body, headers={"Content-Type": kind})
    assert refused.status_code == 415
    assert "What was sent is not written in UTF-8." in refused.text
    fine = small.client().post("/login", content=body, headers={"Content-Type": kind.replace(charset, "UTF-8")})
    assert fine.status_code == 303  # to the login again: the token is wrong

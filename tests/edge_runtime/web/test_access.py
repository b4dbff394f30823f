"""Which route is open to whom."""

import pytest

pytest.importorskip("starlette", reason="the extra station is not installed")

from starlette.responses import Response
from starlette.routing import Route

from edge_runtime.web.secured import secured
from tests.support.web_pages import SmallApp, log_in, token_in


@pytest.fixture
def small(tmp_path):
    return SmallApp(tmp_path)


def test_nothing_is_served_and_nothing_done_without_a_session(small):
    client = small.client()
    assert client.get("/", headers={"Accept": "image/jpeg"}).status_code == 401
    assert client.post("/judge", json={"verdict": "right"}).status_code == 401
    assert client.post("/form", data={"verdict": "right"}).status_code == 401
    assert small.seen == []


def test_who_is_not_logged_in_is_sent_to_the_login_and_comes_back_to_the_page(small):
    client = small.client()
    answer = client.get("/?camera=yard-3&n=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/%3Fcamera%3Dyard-3%26n%3D1"
    token = token_in(client.get(answer.headers["location"]).text)
    back = client.post(
        answer.headers["location"], data={"name": "wall", "password": "a screen on a wall", "csrf": token}
    )
    assert back.headers["location"] == "/?camera=yard-3&n=1"


def test_a_viewer_looks_and_changes_nothing(small):
    client = small.client()
    token = log_in(client, "wall")
    assert client.get("/").status_code == 200
    refused = client.post("/judge", json={"verdict": "right"}, headers={"X-CSRF-Token": token})
    assert refused.status_code == 403
    assert "may look, but not change" in refused.text
    assert small.seen == []


def test_an_operator_posts_json_with_the_token_in_the_header_and_forms_with_it_in_a_field(small):
    client = small.client()
    token = log_in(client)
    assert client.post("/judge", json={"verdict": "right"}, headers={"X-CSRF-Token": token}).json() == {"by": "anna"}
    assert client.post("/form", data={"verdict": "wrong", "csrf": token}).status_code == 200
    assert small.seen == ["right", "wrong"]


@pytest.mark.parametrize("given", ["", "wrong", "é", None])
def test_a_post_without_the_sessions_own_token_is_refused(small, given):
    client = small.client()
    log_in(client)
    headers = {} if given is None else {"X-CSRF-Token": given.encode()}
    refused = client.post("/judge", json={"verdict": "right"}, headers=headers)
    assert refused.status_code == 403
    assert "does not belong to your session" in refused.text
    assert small.seen == []


def test_the_token_of_one_session_is_none_of_another(small):
    other = log_in(small.client())
    client = small.client()
    log_in(client)
    assert client.post("/judge", json={}, headers={"X-CSRF-Token": other}).status_code == 403


def test_a_route_that_does_not_say_who_may_use_it_is_never_served(small):
    def forgotten(request):
        return Response()

    with pytest.raises(ValueError, match="/forgotten does not say who may use it"):
        secured([Route("/forgotten", forgotten)], small.access, small.pages)

"""Logging in and out."""

import asyncio
import re
import time
from collections import Counter

import pytest

pytest.importorskip("starlette", reason="the extra station is not installed")

import httpx2

from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.web import accounts
from edge_runtime.web.login_limits import FREE
from edge_runtime.web.password_access import MOST_WAITING
from tests.support.web_pages import HOST, HTML, PASSWORDS, SmallApp, log_in, token_in, write_users

COOKIE = "session-north-7"


@pytest.fixture
def small(tmp_path):
    return SmallApp(tmp_path)


def session_cookie(answer, name=COOKIE):
    found = re.search(rf"{name}=([^;]+); (.*)", ", ".join(answer.headers.get_list("set-cookie")))
    return (found[1], found[2]) if found else None


def post_login(client, name="anna", password="", token=None, **options):
    token = token_in(client.get("/login").text) if token is None else token
    return client.post("/login", data={"name": name, "password": password or PASSWORDS[name], "csrf": token}, **options)


def test_a_login_gives_a_new_random_id_that_scripts_cannot_read(small):
    client = small.client()
    value, rest = session_cookie(post_login(client))
    assert len(value) >= 43  # 256 bits
    assert "HttpOnly" in rest
    assert "SameSite=strict" in rest
    assert "Path=/" in rest
    other, _ = session_cookie(post_login(small.client()))
    assert other != value


def test_under_tls_the_cookie_never_leaves_in_the_clear(tmp_path):
    client = SmallApp(tmp_path, tls=True).client(scheme="https")
    _, rest = session_cookie(post_login(client), f"__Host-{COOKIE}")
    assert "Secure" in rest
    assert client.get("/").status_code == 200


def test_an_id_that_a_browser_brings_along_never_becomes_a_session(small):
    client = small.client()
    client.cookies.set(COOKIE, "planted", domain="127.0.0.1")
    value, _ = session_cookie(post_login(client))
    assert value != "planted"
    attacker = small.client()
    attacker.cookies.set(COOKIE, "planted", domain="127.0.0.1")
    assert attacker.get("/").status_code == 303


def test_a_second_login_ends_the_session_before(small):
    client = small.client()
    log_in(client)
    before = client.cookies[COOKIE]
    token = token_in(client.get("/").text)  # who has a session sends its token
    post_login(client, "wall", token=token)
    stolen = small.client()
    stolen.cookies.set(COOKIE, before, domain="127.0.0.1")
    assert stolen.get("/").status_code == 303


def test_logging_out_ends_the_session_on_the_station_too(small):
    client = small.client()
    token = log_in(client)
    value = client.cookies[COOKIE]
    assert client.post("/logout").status_code == 403
    assert client.get("/").status_code == 200  # not without the token
    assert client.post("/logout", data={"csrf": token}).headers["location"] == "/login"
    client.cookies.set(COOKIE, value, domain="127.0.0.1")
    assert client.get("/").status_code == 303
    assert [what for *_, what in small.told] == ["login", "logout"]


def test_a_login_without_the_forms_token_is_not_even_tried(small):
    client = small.client()
    client.get("/login")
    answer = post_login(client, token="guess")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?expired=1")
    assert session_cookie(answer) is None
    assert "open too long" in client.get("/login?expired=1").text
    assert small.told == []
    bare = small.client()
    assert session_cookie(post_login(bare, token=token_in(client.get("/login").text))) is None


def test_who_looks_in_because_the_disk_is_full_gets_in(small, monkeypatch):
    def full(*_):
        raise UnavailableError("the disk is full")

    monkeypatch.setattr(small.access, "_told", full)
    assert log_in(small.client())


def test_wrong_name_and_wrong_password_read_the_same(small):
    answers = [
        post_login(small.client(), name, "not the password").text.replace(name, "NAME") for name in ("anna", "nobody")
    ]
    plain = [re.sub(r'(csrf"( value)?[=:] ?)"[^"]+"', "", answer) for answer in answers]
    assert plain[0] == plain[1]
    assert "Name or password is wrong" in plain[0]
    assert [what for *_, what in small.told] == ["login refused"] * 2


def test_brute_force_is_slowed_down_and_the_right_password_waits_too(small):
    client = small.client()
    statuses = [post_login(client, "anna", f"guess number {number}").status_code for number in range(FREE + 3)]
    assert statuses == [401] * FREE + [429] * 3
    answer = post_login(client)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "Too many attempts" in answer.text
    assert session_cookie(answer) is None


def test_a_flood_of_logins_is_checked_one_by_one_and_the_pages_of_others_stay_quick(small, monkeypatch):
    """No more than one hash at a time: each takes 64 MiB; and who waits holds no thread."""
    client = small.client()
    token, at_once, most = token_in(client.get("/login").text), [], []
    real = small.accounts.check

    def slow(name, password):
        at_once.append(name)
        most.append(len(at_once))
        time.sleep(0.05)
        at_once.remove(name)
        return real(name, password)

    monkeypatch.setattr(small.accounts, "check", slow)
    monkeypatch.setattr("edge_runtime.web.login_limits.FREE", 1000)

    async def flood():
        transport = httpx2.ASGITransport(small.app)
        async with httpx2.AsyncClient(transport=transport, base_url=f"http://{HOST}", headers=HTML) as many:
            many.cookies.update(client.cookies)
            sent = [
                many.post("/login", data={"name": f"user{n}", "password": "wrong password", "csrf": token})
                for n in range(MOST_WAITING + 10)
            ]
            return Counter(answer.status_code for answer in await asyncio.gather(*sent))

    statuses = asyncio.run(flood())
    assert max(most) == 1
    assert statuses == {401: MOST_WAITING, 503: 10}


@pytest.mark.parametrize(
    "goal",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/login",
        "/a\nb",
        "",
    ],
)
def test_no_login_leads_to_another_site(small, goal):
    client = small.client()
    token = token_in(client.get("/login").text)
    data = {"name": "anna", "password": PASSWORDS["anna"], "csrf": token}
    assert client.post("/login", params={"next": goal}, data=data).headers["location"] == "/"


def test_a_name_of_markup_is_shown_as_text(small):
    answer = post_login(small.client(), '"><script>alert(1)</script>', "not the password")
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert" in answer.text


def test_who_is_in_already_is_not_asked_again(small):
    client = small.client()
    log_in(client)
    assert client.get("/login").headers["location"] == "/"


def test_a_session_ends_when_its_account_is_taken_away_or_changed(small, tmp_path, monkeypatch):
    monkeypatch.setattr(accounts, "LOOK_SECONDS", 0.0)
    client = small.client()
    log_in(client)
    write_users(tmp_path, {"anna": "viewer", "wall": "viewer"})
    assert client.get("/").status_code == 303


def test_a_page_that_asks_by_itself_does_not_keep_an_operators_session_alive(small):
    client = small.client()
    log_in(client)
    session = small.access._sessions.find(client.cookies[COOKIE], use=False)
    session.used -= 3600
    before = session.used
    assert client.get("/", headers={"Sec-Fetch-Mode": "no-cors"}).status_code == 200
    assert session.used == before
    assert client.get("/", headers={"Sec-Fetch-Mode": "navigate"}).status_code == 200
    assert session.used > before

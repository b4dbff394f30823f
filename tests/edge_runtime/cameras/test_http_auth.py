"""Logins by the books' examples, and what status codes mean."""

import pytest

from edge_runtime.cameras.http_auth import answer_challenge, cause_of_status, challenges_by_scheme, digest_login
from edge_runtime.causes import Cause


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


def test_digest_is_preferred_and_of_two_offers_the_first_counts():
    offered = challenges_by_scheme([' Basic realm="a"', 'DIGEST realm="b", nonce="1"', 'Digest realm="c", nonce="2"'])
    assert offered == {"basic": 'realm="a"', "digest": 'realm="b", nonce="1"'}
    assert answer_challenge(offered, "GET", "/", "u", "p").startswith('Digest username="u", realm="b", nonce="1"')
    assert answer_challenge({"basic": ""}, "GET", "/", "Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def test_two_offers_may_stand_in_one_header():
    offered = challenges_by_scheme(['Basic realm="a, b", Digest realm="c", qop="auth-int, auth", nonce="1"'])
    assert offered == {"basic": 'realm="a, b"', "digest": 'realm="c", qop="auth-int, auth", nonce="1"'}
    assert "qop=auth, " in digest_login(offered["digest"], "GET", "/", "u", "p")


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (302, Cause.REDIRECTED),
        (400, Cause.REJECTED),
        (401, Cause.AUTH),
        (403, Cause.FORBIDDEN),
        (404, Cause.NOT_FOUND),
        (410, Cause.NOT_FOUND),
        (429, Cause.BUSY),
        (453, Cause.BUSY),
        (454, Cause.CAMERA_FAULT),
        (461, Cause.TRANSPORT),
        (500, Cause.CAMERA_FAULT),
        (503, Cause.BUSY),
    ],
)
def test_a_status_has_one_meaning(status, cause):
    assert cause_of_status(status) is cause

"""The S3 server that the tests of stores share."""

import pytest

from tests.support.stores import s3_server


@pytest.fixture(scope="session")
def shared_s3():
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(shared_s3, monkeypatch):
    """The server, with the environment in which store libraries find it."""
    shared_s3.use(monkeypatch)
    return shared_s3

"""Lines of the log."""

import json
import logging

import pytest

from edge_runtime.logs import log_to_stderr


@pytest.fixture
def logger():
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield logging.getLogger("edge_runtime.station.service")
    root.handlers[:] = before
    root.setLevel(level)


def test_a_line_is_a_document_without_secrets(logger, capsys):
    log_to_stderr(["s3cret!"])
    logger.warning("no way to rtsp://me:pw@host with %s", "s3cret!", extra={"fields": {"camera": "yard"}})
    line = json.loads(capsys.readouterr().err)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "message": "no way to rtsp://***@host with ***",
        "module": "service",
        "camera": "yard",
    }


def test_a_traceback_stays_on_its_line(logger, capsys):
    log_to_stderr([])
    try:
        raise ValueError("token=abc")
    except ValueError:
        logger.exception("it broke")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: token=***" in json.loads(line)["message"]


def test_the_signing_library_says_nothing_of_keys_that_did_not_sign(logger, capsys):
    log_to_stderr([])
    logging.getLogger("securesystemslib.signer").info("No signature for keyid 12")
    assert capsys.readouterr().err == ""


def test_on_a_terminal_people_read(logger, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    log_to_stderr([])
    logger.info("watching")
    assert capsys.readouterr().err.endswith(" info  watching\n")

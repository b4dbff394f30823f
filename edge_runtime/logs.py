"""Logs of the service: one JSON object a line, or plain lines on a terminal; never a credential.

A record's own fields come as `log.info("...", extra={"fields": {"camera": "yard-3"}})`.
"""

import json
import logging
import sys
from collections.abc import Iterable
from typing import Any

from .clock import iso
from .redact import redact


class _Lines(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return self._line(record, redact(message, self._secrets))

    def _line(self, record: logging.LogRecord, message: str) -> str:
        return f"{iso(record.created)} {record.levelname.lower()}  {message}"


class _JsonLines(_Lines):
    def _line(self, record: logging.LogRecord, message: str) -> str:
        document: dict[str, Any] = {"time": iso(record.created), "level": record.levelname.lower(), "message": message}
        document |= {"module": record.name.rpartition(".")[2], **getattr(record, "fields", {})}
        return json.dumps(document, ensure_ascii=False, default=str)


def log_to_stderr(secrets: Iterable[str]) -> None:
    """Send every record of the process to standard error from now on, without these `secrets`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((_Lines if sys.stderr.isatty() else _JsonLines)(secrets))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("securesystemslib").setLevel(logging.WARNING)  # it notes each key that did not sign, as is usual

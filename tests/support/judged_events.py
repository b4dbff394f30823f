"""Documents of alarms as a station writes them, for whoever judges in tests."""

from typing import Any


def alarm_document(number: int, **change: Any) -> dict[str, Any]:
    """The document of alarm event-`number`: an oil leak at the camera north."""
    return {
        "schema": "rarefault/event",
        "schema_version": 1,
        "id": f"event-{number}",
        "kind": "alarm",
        "station": "hill",
        "camera": "north",
        "time": "2026-11-23T02:10:00.000Z",
        "recorded": "2026-11-23T02:10:00.100Z",
        "clock": "synced",
        "label": "oil_leak",
        "probability": 0.91,
        "threshold": 0.5,
        "test": False,
        "votes": {"votes": 3, "of": 5, "needed": 3},
        "model": {"name": "station", "version": "1", "digest": "a" * 64},
        **change,
    }

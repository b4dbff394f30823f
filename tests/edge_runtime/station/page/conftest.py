"""The station's page over a state folder with four alarms, and who asks it."""

from collections.abc import Iterator

import pytest

pytest.importorskip("starlette", reason="the extra `station` is not installed")

from tests.support.colour_bundle import make_bundle
from tests.support.station_page import PageOverState, page_over_state

ALARMS = [
    {"camera": "yard", "label": "rust", "time": "2026-11-23T02:10:00.000Z"},
    {"camera": "north", "label": "leak", "time": "2026-11-23T03:10:00.000Z", "doubts": ["leak: not supported"]},
    {"camera": "yard", "label": "leak", "time": "2026-11-23T04:10:00.000Z", "test": True},
    {
        "camera": "yard",
        "label": "rust",
        "time": "2026-11-23T05:10:00.000Z",
        "snoozed": {"until": "2026-11-23T09:00:00.000Z", "by": "anna"},
    },
]


@pytest.fixture(scope="session")
def colours(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("colours"), ("fp32",))


@pytest.fixture
def over(tmp_path, colours) -> Iterator[PageOverState]:
    with page_over_state(tmp_path, colours, ALARMS) as served:
        yield served

"""The settings that the demo's station is started with."""

import tomllib

from augment.station_demo.files import BUNDLE, write_station, write_users
from edge_runtime.bundle.store import open_bundle
from tests.support import colour_bundle

CAMERAS = [("gate-1", "http://127.0.0.1:1/gate-1")]


def test_the_bundle_of_the_package_is_shown_whole_frames_and_one_of_square_pictures_their_middle(tmp_path):
    whole = tomllib.loads(write_station(tmp_path, BUNDLE, CAMERAS, 1, 2).read_text())
    assert "regions" not in whole["camera"][0]
    assert "thresholds" not in whole["decision"]
    square = colour_bundle.make_bundle(tmp_path / "bundle")
    written = tomllib.loads(write_station(tmp_path, square, CAMERAS, 1, 2).read_text())
    assert written["camera"][0]["regions"] == [[0.21875, 0.0, 0.5625, 1.0]]
    faults = open_bundle(square).manifest.decision.fault_labels
    assert written["decision"]["thresholds"] == dict.fromkeys(faults, 0.8)
    assert (written["http"]["port"], written["page"]["port"]) == (2, 1)


def test_the_accounts_have_new_passwords_at_every_start_in_a_file_for_the_owner_alone(tmp_path):
    first, second = (write_users(tmp_path, str.upper) for _ in range(2))
    assert set(first) == {"operator", "viewer"}
    assert len({*first.values(), *second.values()}) == 4
    users = tomllib.loads((tmp_path / "users.toml").read_text())["user"]
    assert users["viewer"] == {"role": "viewer", "password": second["viewer"].upper()}
    assert (tmp_path / "users.toml").stat().st_mode & 0o077 == 0

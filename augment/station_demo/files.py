"""What the demo's station is started with: station.toml, and the file of its two accounts."""

import json
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from edge_runtime.bundle.files import create_private, replace_file
from edge_runtime.bundle.store import open_bundle

BUNDLE = Path(__file__).with_name("bundle")  # augment.station_demo.recipe makes it
STATION = """# The station of `rarefault station-demo`, written anew at every start.
[station]
name = "demo"
state_dir = "state"
bundle = {bundle}
engine = "cpu"
precision = "fp32"
test_alarm_hours = 0

[decision]
cooldown = 60.0
{decision}

[http]
port = {status_port}

[page]
users_file = "users.toml"
port = {page_port}
"""
CAMERA = """
[[camera]]
name = {name}
url = {url}
floor_rate = 1.0
{regions}
"""
# Bundles of `rarefault demo` have seen square pictures of a softer camera: they are shown the middle of the frame, and
# their threshold, the one of best F1, is raised to one that leaves the healthy sights alone.
SQUARE_REGIONS = "regions = [[0.21875, 0.0, 0.5625, 1.0]]"
SQUARE_THRESHOLD = 0.8
ROLES = ("operator", "viewer")


def write_station(
    folder: Path, bundle: Path, cameras: Iterable[tuple[str, str]], page_port: int, status_port: int
) -> Path:
    """Write FOLDER/station.toml for `cameras` (name and address) and return its path."""
    manifest = open_bundle(bundle).manifest
    regions = decision = ""
    if manifest.input.height == manifest.input.width:
        thresholds = ", ".join(f"{json.dumps(label)} = {SQUARE_THRESHOLD}" for label in manifest.decision.fault_labels)
        regions, decision = SQUARE_REGIONS, f"thresholds = {{ {thresholds} }}"
    place = json.dumps(str(bundle))
    text = STATION.format(bundle=place, page_port=page_port, status_port=status_port, decision=decision)
    for name, url in cameras:
        text += CAMERA.format(name=json.dumps(name), url=json.dumps(url), regions=regions)
    replace_file(folder / "station.toml", text.encode())
    return folder / "station.toml"


def write_users(folder: Path, hashed: Callable[[str], str]) -> dict[str, str]:
    """Write FOLDER/users.toml, which only its owner may read, with an account named after each role.

    Returns the password of each, new at every call; `hashed` turns one into what the file holds.
    """
    passwords = {role: secrets.token_hex(5) for role in ROLES}
    text = "".join(
        f'[user.{role}]\nrole = "{role}"\npassword = "{hashed(password)}"\n\n' for role, password in passwords.items()
    )
    path = folder / "users.toml"
    path.unlink(missing_ok=True)
    create_private(path, text.encode())
    return passwords

"""What the demo's station is started with: station.toml, and the file of its two accounts."""

import json
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from edge_runtime.bundle.files import replace_file

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
"""
ROLES = ("operator", "viewer")


def write_station(
    folder: Path, bundle: Path, cameras: Iterable[tuple[str, str]], page_port: int, status_port: int
) -> Path:
    """Write FOLDER/station.toml for `cameras` (name and address) and return its path."""
    text = STATION.format(bundle=json.dumps(str(bundle)), page_port=page_port, status_port=status_port)
    text += "".join(CAMERA.format(name=json.dumps(name), url=json.dumps(url)) for name, url in cameras)
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
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return passwords

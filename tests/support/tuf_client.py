"""The station's client with the command line that TUF's conformance suite drives: init, refresh, download.

    python -m tests.support.tuf_client --metadata-dir DIR init ROOT.json
    python -m tests.support.tuf_client --metadata-dir DIR --metadata-url URL refresh
    python -m tests.support.tuf_client --metadata-dir DIR --metadata-url URL --target-name PATH --target-base-url URL
                                       --target-dir DIR download

The station's own folder is DIR/station; what it trusts is copied to DIR, where the suite looks. One test of the
suite fails by intention, test_static_repository[sigstore-root-signing]: its metadata expired in 2025, and a station
takes no clock for right that stands before its own software was made.
"""

import argparse
import shutil
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

from edge_runtime.bundle.errors import RarefaultError
from edge_runtime.updates.rate_limit import RateLimit
from edge_runtime.updates.repository.download import fetch_file
from edge_runtime.updates.sources import HttpSource, OpenedFile
from edge_runtime.updates.trusted_repository import CACHE, TrustedRepository, trust_root


class TwoPlaces:
    """A source whose metadata and targets lie at two addresses."""

    def __init__(self, metadata_url: str, target_url: str | None) -> None:
        self.name = metadata_url
        self._sources = {"metadata": HttpSource(metadata_url), "targets": HttpSource(target_url or metadata_url)}

    def open_range(self, path: str, start: int) -> AbstractContextManager[OpenedFile]:
        place, _, name = path.partition("/")
        return self._sources[place].open_range(name, start)


def download(repository: TrustedRepository, source: TwoPlaces, name: str, folder: Path) -> None:
    target = repository.find(name)
    if target is None:
        raise SystemExit(f"{name} is not in the repository")
    path = folder / quote(name, safe="")
    if not target.matches(path):
        fetch_file(source, target, path, RateLimit(), threading.Event())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url")
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url")
    parser.add_argument("--target-dir", type=Path)
    parser.add_argument("command", choices=("init", "refresh", "download"))
    parser.add_argument("trusted_root", type=Path, nargs="?")
    asked = parser.parse_args()
    trust = asked.metadata_dir / "station"
    try:
        if asked.command == "init":
            trust_root(trust, asked.trusted_root.read_bytes())
            shutil.copyfile(asked.trusted_root, asked.metadata_dir / "root.json")
            return 0
        source = TwoPlaces(asked.metadata_url, asked.target_base_url)
        repository = TrustedRepository(trust, source)
        repository.refresh()
        for name in asked.target_name:
            download(repository, source, name, asked.target_dir)
    except RarefaultError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        for path in (trust / CACHE).glob("*.json"):
            shutil.copyfile(path, asked.metadata_dir / path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())

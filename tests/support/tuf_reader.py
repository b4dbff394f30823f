"""python-tuf's own client over a folder, for tests that ask whether a repository is an honest one."""

import json
from collections.abc import Iterator
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater


class FolderFetcher(FetcherInterface):
    """Reads a repository's folder as if it were a web server."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(url.removeprefix("file://"))
        if not path.is_file():
            raise DownloadHTTPError(f"no {path}", 404)
        yield path.read_bytes()


def client(repository: Path, state: Path) -> Updater:
    """python-tuf's client, which trusts the first root of the repository and keeps what it has seen in `state`."""
    (state / "targets").mkdir(parents=True, exist_ok=True)
    bootstrap = (repository / "metadata" / "1.root.json").read_bytes()
    urls = f"file://{repository}/metadata/", str(state / "targets"), f"file://{repository}/targets/"
    return Updater(str(state), *urls, FolderFetcher(), bootstrap=bootstrap)


def offered(repository: Path, state: Path, group: str = "one") -> dict[str, object]:
    """What the repository offers a group, through the client; empty for nothing."""
    updater = client(repository, state)
    target = updater.get_targetinfo(f"groups/{group}/release.json")
    return json.loads(Path(updater.download_target(target)).read_bytes()) if target else {}

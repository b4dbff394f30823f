"""python-tuf's client over our own sources. It imports tuf, so import it inside functions alone.

Three things are changed, in a subclass since python-tuf has no settings for them (read in version 7.0.1):
its reference time is taken from outside, what it keeps is written durably, and root.json is a file and no link.
"""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root, TargetFile
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from ...bundle.files import replace_file
from ..errors import Reason, UpdateDelayed, UpdateRefused
from ..rate_limit import RateLimit
from ..sources import NotThere, Source
from .download import TargetInfo, keep_on

METADATA_SECONDS = 600.0  # for one file of metadata, however slowly it drips
LIMITS = UpdaterConfig(max_delegations=32)  # sizes of metadata: at most 5 MB, by python-tuf's own defaults

_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (exceptions.UnsignedMetadataError, Reason.SIGNATURE),
    (exceptions.ExpiredMetadataError, Reason.EXPIRED),
    (exceptions.BadVersionNumberError, Reason.ROLLBACK),
    (exceptions.LengthOrHashMismatchError, Reason.HASH),
    (exceptions.DownloadLengthMismatchError, Reason.SIZE),
    (exceptions.RepositoryError, Reason.METADATA),
    (ValueError, Reason.METADATA),  # python-tuf lets some of those of malformed metadata through
)


class SourceFetcher(FetcherInterface):
    """Fetches metadata from a source, within the limits of an update."""

    def __init__(self, source: Source, limiter: RateLimit, stop: threading.Event) -> None:
        self._source, self._limiter, self._stop = source, limiter, stop

    def _fetch(self, url: str) -> Iterator[bytes]:
        data, latest = bytearray(), time.monotonic() + METADATA_SECONDS
        try:
            keep_on(partial(self._go_on, url, data, latest), partial(len, data), self._limiter, self._stop)
        except NotThere as error:
            raise exceptions.DownloadHTTPError(error.detail, error.status) from error
        yield bytes(data)

    def _go_on(self, url: str, data: bytearray, latest: float) -> None:
        """Add to `data` what it lacks of the file; of one without a version in its name all, as it may have changed."""
        start = 0 if url.endswith("/timestamp.json") else len(data)
        self._limiter.take(0, self._stop)
        with self._source.open_range(url, start) as opened:
            del data[opened.start :]
            for piece in opened.pieces:
                data += piece
                self._limiter.take(len(piece), self._stop)
                if len(data) > LIMITS.targets_max_length:  # the largest of all; python-tuf refuses it
                    return
                if time.monotonic() > latest:
                    raise UpdateDelayed(Reason.STOPPED, f"{url} did not come within {METADATA_SECONDS:.0f} s")


class StationUpdater(Updater):
    """python-tuf's client whose moment of reference is given and whose files survive a power cut."""

    def __init__(self, cache: Path, fetcher: SourceFetcher, root: bytes, reference: datetime) -> None:
        super().__init__(str(cache), "metadata", fetcher=fetcher, config=LIMITS, bootstrap=root)
        self._trusted_set.reference_time = reference

    def listed(self) -> Mapping[str, TargetFile]:
        """Return every file that the central team's own role lists, by its path; `refresh` comes first."""
        return self._trusted_set.targets.targets

    def info(self, target: TargetFile) -> TargetInfo:
        """Return where the file lies and how it was signed."""
        folder, slash, name = target.path.rpartition("/")
        prefix = f"{next(iter(target.hashes.values()))}." if self._trusted_set.root.consistent_snapshot else ""
        return TargetInfo(f"targets/{folder}{slash}{prefix}{name}", target.length, target.hashes)

    def _persist_file(self, filename: str, data: bytes) -> None:
        replace_file(Path(filename), data)

    def _update_root_symlink(self) -> None:
        """Write the newest root as root.json; python-tuf links to it, which some file systems refuse."""
        folder = Path(self._dir)
        data = (folder / "root_history" / f"{self._trusted_set.root.version}.root.json").read_bytes()
        if not (folder / "root.json").is_file() or (folder / "root.json").read_bytes() != data:
            replace_file(folder / "root.json", data)


def check_root(data: bytes) -> None:
    """UpdateRefused where `data` is no root file that enough of its own keys have signed."""
    with refusals("the root file"):
        metadata = Metadata[Root].from_bytes(data)
        if metadata.signed.type != Root.type:
            raise UpdateRefused(Reason.ROOT, f"the file holds {metadata.signed.type} metadata, not a root")
        metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)


@contextlib.contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turn python-tuf's errors of the block into UpdateRefused, and those of link and disk into UpdateDelayed."""
    try:
        yield
    except exceptions.DownloadHTTPError as error:  # what `SourceFetcher` made of NotThere, the advice included
        raise UpdateDelayed(Reason.LINK, str(error).removesuffix(f"; {Reason.LINK.advice}")) from error
    except (exceptions.RepositoryError, exceptions.DownloadError, ValueError) as error:
        reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), Reason.METADATA)
        raise UpdateRefused(reason, f"{what} was refused ({error})") from error
    except OSError as error:
        raise UpdateDelayed(Reason.DISK, f"{what} cannot be kept ({error})") from error

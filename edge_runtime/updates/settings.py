"""`[updates]` of station.toml: where new models come from, how fast, and what a new one has to stand."""

import re
from dataclasses import dataclass
from datetime import time
from pathlib import Path

from ..bundle.errors import InputError
from ..settings_reader import check_name, number

_SPAN = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)")
_ADDRESS = re.compile(r"(https?|file)://.+")


@dataclass(frozen=True)
class UpdatesSection:
    """[updates]. `url` is https://..., file:///folder or a folder; empty: nothing is fetched over a link, sticks work.

    `most_latency` counts in latencies of the serving bundle on the same golden frames, `most_alarms` in alarm rates
    before the update. `shadow_share` is the share of judged frames that a candidate sees too, until it has seen
    `shadow_frames`; it is refused where more than the share `most_disagreement` of them is told otherwise.
    """

    url: str = ""
    group: str = "all"
    root: Path | None = None  # the first trusted root; else `edge-station trust` has put it into the state folder
    interval_hours: float = number(6.0, low=0.001, high=8760)  # between two looks at the repository
    bytes_per_second: int = number(0, low=0)  # of downloads; 0: as fast as the link is
    quiet: str = ""  # a span of local time like 06:00-18:00 in which nothing is downloaded
    probation_minutes: float = number(30.0, low=0)
    shadow_share: float = number(0.05, low=0, high=1)
    shadow_frames: int = number(200, low=0)  # 0: no shadow
    most_disagreement: float = number(0.2, low=0, high=1)
    most_latency: float = number(2.0, low=1)
    most_alarms: float = number(5.0, low=1)
    require_evidence: bool = False  # refuse a bundle whose heat map is not evidence
    ca_file: Path | None = None  # else the system's authorities

    def __post_init__(self) -> None:
        check_name("the group of stations", self.group)
        if "://" in self.url and not _ADDRESS.fullmatch(self.url):
            raise InputError("url is of no known kind, expected https://..., file:///folder or a folder")
        if self.quiet:
            self._span()
        if self.shadow_frames and not self.shadow_share:
            raise InputError("shadow_frames is set, but shadow_share is 0; set a share, or shadow_frames = 0")

    def is_quiet(self, now: time) -> bool:
        """Whether nothing may be downloaded at the local time `now`; a span may go over midnight."""
        if not self.quiet:
            return False
        start, end = self._span()
        return start <= now < end if start <= end else now >= start or now < end

    def _span(self) -> tuple[time, time]:
        if (found := _SPAN.fullmatch(self.quiet)) is None:
            raise InputError(f"quiet is {self.quiet!r}, expected a span of local time like 06:00-18:00")
        start, end = time.fromisoformat(found[1]), time.fromisoformat(found[2])
        if start == end:
            raise InputError(f"quiet is {self.quiet!r}, a span without a length; remove it, or give it two times")
        return start, end

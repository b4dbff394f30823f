"""The one list of reasons why an update is refused or has to wait, each with what a person can do about it."""

from enum import Enum

from ..bundle.errors import InputError, UnavailableError


class Reason(str, Enum):
    """A reason; its value stands in update events, states and tables, its `advice` is what a person reads."""

    _value_: str
    advice: str

    def __new__(cls, value: str, advice: str = "") -> "Reason":
        """Make the member that is equal to its `value`."""
        reason = str.__new__(cls, value)
        reason._value_, reason.advice = value, advice
        return reason

    # The repository's metadata.
    ROOT = "root", "give this station the first root file of the repository: edge-station trust ROOT.json"
    SIGNATURE = (
        "signature",
        "too few keys that this station trusts have signed it; do not use this repository or stick, and ask the "
        "central team whether its keys changed",
    )
    EXPIRED = (
        "expired",
        "the repository or stick is too old, or this device's clock runs ahead; check the clock, else renew "
        "the repository (rarefault renew) or make a new stick",
    )
    ROLLBACK = (
        "rollback",
        "it is older than what this station has seen, or mixed from several states; take a newer repository or stick, "
        "and find out who offers the old one",
    )
    METADATA = "metadata", "the repository's metadata is damaged or incomplete; copy or publish it again"
    SOFTWARE = "software", "the repository was written for a later rarefault; upgrade this station's"
    MISSING = "missing", "wait until central promotes one to it, or check `group` in [updates]"
    # The files of a bundle.
    HASH = "hash", "the file is not the one that was signed; copy the repository or stick again, or ask who changed it"
    SIZE = (
        "size",
        "more arrives than was signed or than a station takes; check the server, and publish a smaller bundle",
    )
    NAME = "name", "a station takes plain files with plain names inside the bundle alone; pack and publish it again"
    CONTENT = "content", "the files are not what a bundle may hold; pack it again with rarefault export"
    # What the bundle does on this device.
    ENGINE = (
        "engine",
        "no engine of this device runs the model; see edge-station check, and pack it in other precisions",
    )
    GOLDEN = "golden", "this device does not give the golden frames' answers; compare with edge-station check --bundle"
    LATENCY = "latency", "the model is too slow on this device; publish a smaller one, or raise most_latency"
    POLICY = "policy", "the bundle does not fit this station's settings; change them, or publish a bundle that fits"
    SHADOW = "shadow", "the new model disagrees with the serving one; look at the samples of both before it is forced"
    PROBATION_CRASH = "probation_crash", "the service ended again and again with the new model; see its log"
    PROBATION_NAN = "probation_nan", "the new model gave answers that are no numbers; train and publish another"
    PROBATION_ALARMS = "probation_alarms", "alarms came much more often than before; look at their pictures"
    PROBATION_LATENCY = (
        "probation_latency",
        "the new model was too slow among this station's cameras; publish a smaller",
    )
    ROLLED_BACK = "rolled_back", "a person went back to the slot before; a new release, or --again, tries anew"
    # This device and its link.
    DISK = (
        "disk",
        "the disk takes no more, or not there; make room below the state folder, a station tries again by itself",
    )
    LINK = "link", "no repository can be reached there; check the address and the link, a station tries again by itself"
    QUIET = "quiet", "it goes on by itself after the hours that `quiet` in [updates] names"
    STOPPED = "stopped", "it goes on where it was at the next try"
    TAMPERED_SLOT = "tampered_slot", "files of a slot were changed on the disk; check who can write there, and the disk"


def advice_on(value: str) -> str:
    """Return the advice of the reason with this value; empty for none, and for one that only a later version knows."""
    return next((reason.advice for reason in Reason if reason.value == value), "")


class UpdateRefused(InputError):
    """The update may not be used: `reason` is why, `detail` what was seen; the same one is not tried again."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{detail}; {reason.advice}")
        self.reason, self.detail = reason, detail


class UpdateDelayed(UnavailableError):
    """The update cannot go on now: `reason` is link, disk, quiet, stopped or missing, `detail` what was seen."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{detail}; {reason.advice}")
        self.reason, self.detail = reason, detail

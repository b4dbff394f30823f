"""The one list of causes why a camera's picture is not evaluated, each with what a person can do about it."""

from enum import Enum


class Cause(str, Enum):
    """A cause; its value stands in events, metrics and the ledger, its `advice` is what a person reads.

    Each member is written as value and advice, one sentence for the person who has to mend it.
    """

    _value_: str
    advice: str

    def __new__(cls, value: str, advice: str = "") -> "Cause":
        """Make the member that is equal to its `value`."""
        cause = str.__new__(cls, value)
        cause._value_, cause.advice = value, advice
        return cause

    STARTING = "starting", "no frame yet since the service started; wait a moment"
    # The camera cannot be reached, or stopped.
    MISCONFIGURED = (
        "misconfigured",
        "its settings, secret or certificate cannot be used; correct them, `edge-station check` helps",
    )
    REFUSED = "refused", "the host turns connections away; check that the camera is on, its address and its port"
    AUTH = (
        "auth",
        "the camera rejects user or password; correct them, tries are few so that it does not lock the account",
    )
    NOT_FOUND = "not_found", "no such stream, file or device, or no picture right in the folder; check the path"
    TIMEOUT = "timeout", "no answer in time; check power, network and firewall, then restart the camera"
    CODEC = "codec", "what arrives cannot be decoded as video; set the camera to H.264 or motion JPEG"
    STALLED = "stalled", "the connection stands but frames stopped; check the network, then restart the camera"
    ENDED = "ended", "the stream came to its end"
    # Frames come, but show nothing that could be judged.
    BLACK = "black", "the picture is black; check lens cap, light and power"
    FROZEN = "frozen", "the camera repeats one picture; restart it"
    COVERED = "covered", "the picture lost its detail; check for a cover, dirt, fog or a lens out of focus"
    OVEREXPOSED = "overexposed", "the picture is washed out; check for a lamp or the sun in the lens, and the exposure"
    NOISE = "noise", "the picture is noise; check cable, sensor and decoder"
    MOVED = "moved", "the camera looks elsewhere; set it back, or set its regions anew"
    INFRARED = "infrared", "the camera has just switched between colour and infrared"
    RESIZED = "resized", "the stream changed its size; check the camera's profile"
    # The camera is well, but the station gave no verdict.
    OVERLOADED = "overloaded", "the station could not keep up; lower rates or use fewer cameras"
    MODEL = "model", "the model gave no usable answer; see `edge-station check`"
    NOT_RUNNING = "not_running", "the service was not running; see its log"

    @property
    def status(self) -> str:
        """The camera's status in events and topics: offline or not_evaluated; a camera without a cause is online."""
        return "offline" if self in _OFFLINE else "not_evaluated"


_OFFLINE = (
    *(Cause.STARTING, Cause.MISCONFIGURED, Cause.REFUSED, Cause.AUTH, Cause.NOT_FOUND, Cause.TIMEOUT, Cause.CODEC),
    *(Cause.STALLED, Cause.ENDED, Cause.NOT_RUNNING),
)

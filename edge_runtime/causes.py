"""The one list of causes why a camera's picture is not evaluated, each with what a person can do about it."""

from enum import Enum


class Cause(str, Enum):
    """A cause; its value stands in events, metrics and the ledger, its `advice` is what a person reads."""

    STARTING = "starting"
    # The camera cannot be reached, or stopped.
    MISCONFIGURED = "misconfigured"
    REFUSED = "refused"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    TIMEOUT = "timeout"
    CODEC = "codec"
    STALLED = "stalled"
    ENDED = "ended"
    # Frames come, but show nothing that could be judged.
    BLACK = "black"
    FROZEN = "frozen"
    COVERED = "covered"
    OVEREXPOSED = "overexposed"
    NOISE = "noise"
    MOVED = "moved"
    INFRARED = "infrared"
    RESIZED = "resized"
    # The camera is well, but the station gave no verdict.
    OVERLOADED = "overloaded"
    MODEL = "model"
    NOT_RUNNING = "not_running"

    @property
    def status(self) -> str:
        """The camera's status in events and topics: offline or not_evaluated; a camera without a cause is online."""
        return "offline" if self in _OFFLINE else "not_evaluated"

    @property
    def advice(self) -> str:
        """One sentence for the person who has to mend it."""
        return _OFFLINE.get(self) or _NOT_EVALUATED[self]


_OFFLINE = {
    Cause.STARTING: "no frame yet since the service started; wait a moment",
    Cause.MISCONFIGURED: "its settings, secret or certificate cannot be used; correct them, `edge-station check` helps",
    Cause.REFUSED: "the host turns connections away; check that the camera is on, its address and its port",
    Cause.AUTH: "the camera rejects user or password; correct them, tries are few so that it does not lock the account",
    Cause.NOT_FOUND: "no such stream, file or device, or no picture right in the folder; check the path",
    Cause.TIMEOUT: "no answer in time; check power, network and firewall, then restart the camera",
    Cause.CODEC: "what arrives cannot be decoded as video; set the camera to H.264 or motion JPEG",
    Cause.STALLED: "the connection stands but frames stopped; check the network, then restart the camera",
    Cause.ENDED: "the stream came to its end",
    Cause.NOT_RUNNING: "the service was not running; see its log",
}

_NOT_EVALUATED = {
    Cause.BLACK: "the picture is black; check lens cap, light and power",
    Cause.FROZEN: "the camera repeats one picture; restart it",
    Cause.COVERED: "the picture lost its detail; check for a cover, dirt, fog or a lens out of focus",
    Cause.OVEREXPOSED: "the picture is washed out; check for a lamp or the sun in the lens, and the exposure",
    Cause.NOISE: "the picture is noise; check cable, sensor and decoder",
    Cause.MOVED: "the camera looks elsewhere; set it back, or set its regions anew",
    Cause.INFRARED: "the camera has just switched between colour and infrared",
    Cause.RESIZED: "the stream changed its size; check the camera's profile",
    Cause.OVERLOADED: "the station could not keep up; lower rates or use fewer cameras",
    Cause.MODEL: "the model gave no usable answer; see `edge-station check`",
}

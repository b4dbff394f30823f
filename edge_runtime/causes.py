"""The one list of causes why a camera's picture is not evaluated, each with what a person can do about it.

A cause is what was observed: the answer of a name server, of the network, of TLS, a status code, the decoder's verdict.
The place in the code where something failed is no cause.
"""

import errno
import socket
from enum import Enum


class Cause(str, Enum):
    """A cause; its value stands in events, metrics and the ledger, its `advice` is what a person reads.

    Each member is written as value and advice, one sentence for the person who has to mend it. Those of the network
    speak of "the host", since brokers and webhooks are told by them too.
    """

    _value_: str
    advice: str

    def __new__(cls, value: str, advice: str = "") -> "Cause":
        """Make the member that is equal to its `value`."""
        cause = str.__new__(cls, value)
        cause._value_, cause.advice = value, advice
        return cause

    STARTING = "starting", "no frame yet since the service started; wait a moment"
    MISCONFIGURED = (
        "misconfigured",
        "its settings, secret or certificate cannot be used; correct them, `edge-station check` helps",
    )
    # The network does not lead to an answer.
    UNKNOWN_HOST = (
        "unknown_host",
        "name not found: no name server knows the host; check its spelling and this device's DNS, or give its number",
    )
    UNREACHABLE = "unreachable", "no route to the host; check this device's network, and the address"
    REFUSED = "refused", "the host turns connections away; check that it is on, its address and its port"
    TIMEOUT = "timeout", "no answer in time; check power, network and firewall, then restart it"
    CLOSED = (
        "closed",
        "the host takes the connection and closes it without an answer; check the port and the beginning of the "
        "address (http, https, rtsp), then restart it",
    )
    # TLS does not come about.
    NO_TLS = "no_tls", "the port does not speak TLS; give the address without it (http, rtsp), or the port for TLS"
    NEEDS_TLS = "needs_tls", "the port speaks TLS; give the address with it (https, rtsps), or the port without TLS"
    TLS = "tls", "host and device agree on no TLS version, or it wants a client certificate; update its firmware"
    CERTIFICATE_EXPIRED = (
        "certificate_expired",
        "the host's certificate is out of date or not valid yet; renew it, and check the clocks of both",
    )
    CERTIFICATE_NAME = (
        "certificate_name",
        "the host's certificate is for another name; give the address as the certificate has it, or renew that",
    )
    CERTIFICATE_UNKNOWN = (
        "certificate_unknown",
        "nobody whom this device trusts vouches for the host's certificate; set ca_file to it, or to its authority's",
    )
    # The camera answers, but gives no stream.
    AUTH = (
        "auth",
        "the camera rejects user or password, or asks for a login that is not set; correct or set them, tries are few "
        "so that it does not lock the account",
    )
    FORBIDDEN = (
        "forbidden",
        "the camera does not let this user see the stream; give the user that right, or wait if the account is locked",
    )
    NOT_FOUND = "not_found", "no such stream, file, folder or device; check the path"
    REDIRECTED = "redirected", "the camera refers to another host, or round in a circle; set the address it refers to"
    REJECTED = "rejected", "the camera does not understand the request; check the path, and update its firmware"
    BUSY = (
        "busy",
        "the camera's limit of streams is reached, or it is starting; close other viewers, or take its second stream",
    )
    TRANSPORT = (
        "transport",
        "the camera sends neither over TCP nor over UDP (multicast alone?); allow RTSP over TCP in its settings",
    )
    CAMERA_FAULT = "camera_fault", "the camera reports a fault of its own; restart it, and see its log"
    WRONG_SERVICE = "wrong_service", "another service answers there; check the port and the beginning of the address"
    WEB_PAGE = (
        "web_page",
        "a web page or text comes in place of a stream, perhaps a login page; take the stream's own address from the "
        "camera's manual",
    )
    NO_VIDEO = "no_video", "the stream holds no video track; check the path, and that video is on in the camera"
    CODEC = (
        "codec",
        "what arrives cannot be decoded; set the camera, or convert the file, to H.264 or motion JPEG, and of a folder "
        "see with edge-classify what is wrong with its pictures",
    )
    INTERLACED = (
        "interlaced",
        "the frames are interlaced (half pictures), which are not read; set the camera or video server to progressive, "
        "or take its smaller stream; convert a file with ffmpeg -i FILE -vf yadif NEW.mp4",
    )
    STALLED = (
        "stalled",
        "the connection stands but no frames come; check network and firewall, then restart the camera",
    )
    ENDED = "ended", "the stream came to its end"
    # Files, folders and devices.
    DENIED = "denied", "the service's user may not open it; check its permissions (USB cameras: the group video)"
    DEVICE = (
        "device",
        "the device gives no picture; close other programs that use it, or take another number: a camera often has two",
    )
    NO_UPLOAD = (
        "no_upload",
        "no new whole picture came into the folder within upload_timeout; check the camera's upload, and raise the "
        "setting where it uploads seldom",
    )
    UNSCALED = (
        "unscaled",
        "the folder's radiometric pictures fit no rule of the bundle; use a bundle that was trained with "
        "data.radiometric in their unit, or let the camera upload its 8-bit picture",
    )
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
    MAINTENANCE = "maintenance", "somebody works on it; it is watched again when that ends"

    @property
    def status(self) -> str:
        """The camera's status in events and topics: offline, not_evaluated or maintenance; without a cause online."""
        if self is Cause.MAINTENANCE:
            return "maintenance"
        return "not_evaluated" if self in _NOT_EVALUATED else "offline"


_NOT_EVALUATED = (
    *(Cause.BLACK, Cause.FROZEN, Cause.COVERED, Cause.OVEREXPOSED, Cause.NOISE, Cause.MOVED, Cause.INFRARED),
    *(Cause.RESIZED, Cause.OVERLOADED, Cause.MODEL),
)

# What OpenSSL says of a certificate (X509_V_ERR_*), where that is not "nobody vouches for it".
_VERIFY_CODES = {9: Cause.CERTIFICATE_EXPIRED, 10: Cause.CERTIFICATE_EXPIRED} | dict.fromkeys(
    (62, 63, 64), Cause.CERTIFICATE_NAME
)
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")


def cause_of_error(error: Exception) -> Cause:
    """Return what an error of a connection that was tried or used has shown: of name server, network or TLS."""
    # Known by their attributes and names, since importing ssl takes 10 ms that few cameras need.
    if (code := getattr(error, "verify_code", None)) is not None:  # SSLCertVerificationError, a ValueError too
        return _VERIFY_CODES.get(code, Cause.CERTIFICATE_UNKNOWN)
    if isinstance(error, (socket.gaierror, ValueError)):  # unknown, or no name at all
        return Cause.UNKNOWN_HOST
    if type(error).__name__ in ("SSLEOFError", "SSLZeroReturnError"):
        return Cause.CLOSED
    if type(error).__name__ == "SSLError":
        return Cause.NO_TLS if getattr(error, "reason", "") in _NOT_TLS else Cause.TLS
    if isinstance(error, ConnectionRefusedError):
        return Cause.REFUSED
    if isinstance(error, TimeoutError):
        return Cause.TIMEOUT
    if isinstance(error, (ConnectionError, EOFError)) or getattr(error, "errno", None) == errno.ENOTCONN:
        return Cause.CLOSED
    return Cause.UNREACHABLE

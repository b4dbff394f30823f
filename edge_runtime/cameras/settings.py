"""The settings of one camera, and what becomes of them: a camera that can be started, or a sentence why not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..bundle.errors import InputError, RarefaultError
from ..secret_files import find_secret, read_secret, tls_context
from ..settings_reader import check_name, check_one_of, number, plain_name
from .address import ENCODED, CameraAddress, Kind, anchored, parse_address, quotable
from .regions import Rectangle, Region, hidden_share

WHOLE = Region("the picture", 0.0, 0.0, 1.0, 1.0)
MOST_HIDDEN = 0.99  # of a region by masks
CHECK_RATE = 5.0  # frames per second that are decoded and checked at least, whatever goes to the model


@dataclass(frozen=True)
class CameraSettings:
    """[[camera]]. `url` is rtsp(s)://, http(s)://, `usb:0`, a video file or a folder; `url_file` holds a secret one.

    `regions` are (x, y, width, height), each a fraction of the frame; none means the whole frame. Rates are frames per
    second: `floor_rate` always, up to `top_rate` while something changes. Time-outs are seconds: `open_timeout` without
    a sign of life while the camera is opened, `read_timeout` without a frame, `upload_timeout` without a new picture in
    a folder. `ca_file` holds the certificate of a camera with TLS, or that of the authority which vouches for it.
    `frozen_seconds` of identical frames mean a frozen camera; set it above the key frame interval, 0 turns it off.
    `infrared` says whether the model may judge infrared pictures of a colour camera. `masks` are rectangles as regions
    are; what they hide is painted over before anything sees the picture.
    """

    name: str
    url: str = ""
    url_file: Path | None = None
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    regions: tuple[Rectangle, ...] = ()
    masks: tuple[Rectangle, ...] = ()
    floor_rate: float = 0.5
    top_rate: float = 5.0
    open_timeout: float = number(8.0, low=0.1)
    read_timeout: float = number(5.0, low=0.1)
    upload_timeout: float = number(600.0, low=1)
    frozen_seconds: float = number(10.0, low=0)
    infrared: bool = True

    def __post_init__(self) -> None:
        check_name("a camera", self.name)
        check_one_of("url", self.url, "url_file", self.url_file)
        if self.username and self.url and "://" not in self.url:
            raise InputError(f"username is set, but {quotable(self.url)} asks for none; remove username")
        self._check_masks(self.named_regions() or (WHOLE,))  # regions and masks refuse to leave the picture
        if not 0 < self.floor_rate <= self.top_rate:
            raise InputError(
                f"floor_rate is {self.floor_rate} and top_rate {self.top_rate}, expected 0 < floor_rate <= top_rate"
            )

    def _check_masks(self, regions: Sequence[Region]) -> None:
        for place, sides in enumerate(self.masks, 1):
            Region(f"mask-{place}", *sides)
        for region in regions:
            if self.masks and hidden_share(self.masks, region) > MOST_HIDDEN:
                raise InputError(
                    f"the masks leave nothing of {region.name} that could be judged; make them smaller, or remove "
                    "the region or the camera"
                )

    @property
    def check_rate(self) -> float:
        """Frames per second that are decoded and checked."""
        return max(self.top_rate, CHECK_RATE)

    @property
    def password_variable(self) -> str:
        """The environment variable that may hold the password."""
        return f"RAREFAULT_CAMERA_{plain_name(self.name).upper()}_PASSWORD"

    def named_regions(self) -> tuple[Region, ...]:
        """Return the regions as region-1, region-2 and so on."""
        return tuple(Region(f"region-{number}", *sides) for number, sides in enumerate(self.regions, 1))

    def address(self) -> CameraAddress:
        """Return the address with user and password, which are read now.

        A relative path in `url_file` counts from the folder of that file. InputError where the url means nothing;
        UnavailableError where a secret or `ca_file` cannot be used.
        """
        url = read_secret(self.url_file, "url_file") if self.url_file else self.url
        folder = self.url_file.parent if self.url_file else Path()
        password = find_secret(self.password_file, self.password_variable) if self.username else None
        try:
            address = parse_address(anchored(url, folder), self.username or None, password)
        except InputError:
            if self.url_file is None:
                raise
            raise InputError(  # without the address: it is a secret, and the sentence goes to brokers and logs
                f"the address in {self.url_file} is no rtsp:// or http:// address, usb:N, video file or "
                f"folder; write it again: {ENCODED}, or give them as username and password_file"
            ) from None
        if self.ca_file is None:
            return address
        if not address.tls:
            raise InputError(
                "ca_file is set, but the address asks for no TLS; write https:// or rtsps://, or remove it"
            )
        tls_context(self.ca_file)
        return replace(address, ca_file=str(self.ca_file))


@dataclass(frozen=True)
class CameraPlan:
    """One camera of the settings: its `address` where it can be started, else the `problem` in a sentence."""

    settings: CameraSettings
    address: CameraAddress | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """The camera's name."""
        return self.settings.name

    @property
    def least_rate(self) -> float:
        """Frames per second that are to be judged at least; of a folder, as many as are uploaded at least."""
        uploads = self.address is not None and self.address.kind is Kind.FOLDER
        return min(self.settings.floor_rate, 1 / self.settings.upload_timeout) if uploads else self.settings.floor_rate


def plan_cameras(cameras: Sequence[CameraSettings]) -> list[CameraPlan]:
    """Return a plan for each of `cameras`, in their order. One whose settings or secrets cannot be used has a problem.

    The sentence of a problem does not name the camera, and no secret.
    """
    plans = []
    for settings in cameras:
        try:
            plans.append(CameraPlan(settings, settings.address()))
        except RarefaultError as error:
            plans.append(CameraPlan(settings, problem=str(error)))
    return plans

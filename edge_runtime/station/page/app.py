"""The station's page as one application: all its routes, behind logins, with its checks around it."""

from ...bundle.errors import InputError
from ...web.accounts import Accounts
from ...web.password_access import PasswordAccess
from ...web.secured import secured
from ...web.server import page_names
from .cameras import Cameras
from .desk import Desk
from .events import Events
from .judging import Judging
from .night import NightPage
from .thresholds import Thresholds
from .tiles import Tiles


def make_app(desk: Desk, tiles: Tiles) -> secured:
    """Return the application. InputError where [page] names no users, or their file cannot be used."""
    section = desk.settings.page
    if section.users_file is None:
        raise InputError("users_file is not set in [page], so nobody could log in; see docs/station.md")
    rooms = (tiles, Events(desk), Judging(desk), NightPage(desk), Thresholds(desk), Cameras(desk))
    routes = [route for room in rooms for route in room.routes()]
    tls = section.cert_file is not None
    station = desk.settings.station.name

    def told(who: str, address: str, what: str) -> None:
        desk.judgements.audit(who, address, what, "page")

    access = PasswordAccess(Accounts.read(section.users_file), desk.pages, station, tls, told)
    return secured(routes, access, desk.pages, [section.host, *page_names(section)])

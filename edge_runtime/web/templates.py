"""Pages from Jinja2 templates: everything that is put in is escaped, and a name that is missing is an error."""

import hashlib
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from . import texts
from .access import ACCESS, csrf_of, require, session_of
from .page_style import by_system

OWN = Path(__file__).parent
THEMES = ("auto", "dark", "light", "contrast")
FOREVER = "public, max-age=31536000, immutable"  # the address of a file holds the digest of all of them
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Entry:
    """One page in the navigation: its address, the key of its text, and the name of its icon."""

    path: str
    text: str
    icon: str = ""


@dataclass(frozen=True)
class Head:
    """What the header of every page shows. `state` is ok, warn, bad or off, and `state_text` says it in words."""

    name: str
    state: str = ""
    state_text: str = ""
    navigation: Sequence[Entry] = ()


class Pages:
    """The templates and static files of some rooms: ROOM/templates/*.html and ROOM/static/*, after those of `web`.

    Templates have: `t(key, n=3)` a text; `script_texts("common", "events")` texts for scripts as a JSON block;
    `script_data(id, value)` any JSON for scripts; `static("x.js")` an address; `head`, `account`, `csrf`, `path`,
    `theme`, and what `answer` was given. Files lie in memory: an address names one of them or nothing.
    """

    def __init__(self, rooms: Sequence[Path], head: Callable[[], Head], language: str = "en") -> None:
        folders = [OWN, *rooms]
        self.t = texts.read(language)
        self._head = head
        self._files = {path.name: path.read_bytes() for room in folders for path in sorted(room.glob("static/*"))}
        self._files["base.css"] += by_system(self._files["base.css"].decode()).encode()
        joined = b"".join(name.encode() + data for name, data in sorted(self._files.items()))
        self._digest = hashlib.sha256(joined).hexdigest()[:16]
        self._environment = Environment(
            loader=FileSystemLoader([room / "templates" for room in folders]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # an upgrade beside a running page would mix new templates with old code
            cache_size=-1,
        )
        self._environment.globals.update(
            t=self.t, static=self.address, script_texts=self._script_texts, script_data=self._script_data
        )
        for name in self._environment.list_templates(extensions=["html"]):  # nobody waits for that later
            self._environment.get_template(name)

    def answer(self, request: Request, name: str, context: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """Return the page of the template `name`."""
        return HTMLResponse(self.render(request, name, context), status)

    def render(self, request: Request, name: str, context: Mapping[str, Any]) -> str:
        """Return the text of the template `name`, which may be a part of a page."""
        session = session_of(request)
        theme = request.cookies.get("theme", "")
        values = {
            "head": context["head"] if "head" in context else self._head(),
            "account": session.account if session else None,
            "can_log_out": bool(request.scope[ACCESS].entrance),
            "csrf": csrf_of(request),
            "path": request.url.path,
            "theme": theme if theme in THEMES else THEMES[0],
            "language": self.t.language,
            **context,
        }
        return self._environment.get_template(name).render(values)

    def address(self, name: str) -> str:
        """Return the address of a static file; KeyError where there is none."""
        self._files[name]
        return f"/static/{self._digest}/{name}"

    def routes(self) -> list[Route]:
        """Return the route of the static files, which anybody may have."""
        return [Route("/static/{digest}/{name}", self._static)]

    @require(None)
    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            return Response(status_code=404)
        kind = TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        current = request.path_params["digest"] == self._digest
        return Response(
            self._files[name], media_type=kind, headers={"Cache-Control": FOREVER if current else "no-store"}
        )

    def _script_texts(self, *names: str) -> Markup:
        return self._script_data("texts", self.t.tables(*names))

    def _script_data(self, element: str, value: object) -> Markup:
        json = htmlsafe_json_dumps(value)
        return Markup('<script type="application/json" id="{}">{}</script>').format(element, json)

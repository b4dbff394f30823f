"""Pages of `rarefault`: a template of this folder, filled in and in one file with its style."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from edge_runtime.web.page_style import page_style


def render(template: str, content: dict[str, object]) -> str:
    """Return the page. Whatever is in `content` is escaped, unless it is `Markup`; a missing name is an error."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FileSystemLoader(Path(__file__).parent),
    )
    environment.filters["code"] = with_code
    return environment.get_template(template).render(style=Markup(page_style()), **content)


def with_code(text: str) -> Markup:
    """Return an escaped sentence in which what stands between backticks is marked as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))

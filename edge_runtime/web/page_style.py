"""The style of a page that is one file and loads nothing: reports and the page of a night look like the station's page.

Standard library only, since `edge-classify` writes such a page without any extra.
"""

import re
from pathlib import Path

STATIC = Path(__file__).with_name("static")
OTHER_COLOURS = ":root:has(#other-colours:checked)"  # a box that changes between dark and light, without a script


def page_style() -> str:
    """Return base.css and standalone.css as one sheet, in which the reader's system chooses dark, light or contrast.

    Paper is light. A page may offer `<input type="checkbox" id="other-colours">`.
    """
    base, own = ((STATIC / name).read_text(encoding="utf-8") for name in ("base.css", "standalone.css"))
    dark, light, contrast = (theme(base + own, name) for name in ("dark", "light", "contrast"))
    chosen = [
        f"@media (prefers-color-scheme: light) {{ :root {{{light}}} {OTHER_COLOURS} {{{dark}}} }}",
        f"@media (prefers-color-scheme: dark) {{ {OTHER_COLOURS} {{{light}}} }}",
        f"@media (prefers-contrast: more) {{ :root {{{contrast}}} }}",
        f"@media print {{ :root, {OTHER_COLOURS} {{{light}}} }}",
    ]
    return "\n".join([base, own, *chosen])


def by_system(base: str) -> str:
    """Return rules by which a page with `data-theme="auto"` is light or of high contrast where the system is."""
    light, contrast = (theme(base, name) for name in ("light", "contrast"))
    return (
        f'\n@media (prefers-color-scheme: light) {{ [data-theme="auto"] {{{light}}} }}\n'
        f'@media (prefers-contrast: more) {{ [data-theme="auto"] {{{contrast}}} }}\n'
    )


def theme(sheet: str, name: str) -> str:
    """Return all declarations that the sheet has for the theme called `name`."""
    found = re.findall(rf'\[data-theme="{name}"\] \{{([^}}]*)\}}', sheet)
    if not found:
        raise AssertionError(f"the style sheet has no theme {name}")
    return "".join(found)

"""From a template to a page: escaping, the content security policy, the frame for notebooks, the file.

Cells of the data are hostile. Every value that a template prints is made safe by `escape.block`, then escaped
by Jinja; a content security policy allows only the one style sheet and the one script, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from dataaudit.escape import block

SIZE: Final = 1_000_000  # bytes of a page; larger ones were what users of other tools complained about most
_ONE_FILE: Final = "This page is one file: it loads nothing"  # of the footer
_LONGEST: Final = 20_000  # characters of any one value


def render(template: str, values: Mapping[str, Any], *, scripts: tuple[str, ...] = ()) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        Name of a file in ``reports/`` that extends ``frame.html.j2``.
    values : mapping
        What the template prints.
    scripts : tuple of str
        Names of the scripts' files, which become one; a page without any allows none.

    Returns
    -------
    str
    """
    style, code = _asset("report.css"), "\n".join(map(_asset, scripts))
    policy = {"style": style, "script": code, "style_hash": _hash(style), "script_hash": _hash(code)}
    return environment().get_template(template).render({**values, **policy})


def parted(page: str) -> dict[str, str]:
    """Return a page as three files, for servers that forbid style and script inside a page.

    Parameters
    ----------
    page : str
        What `render` gave.

    Returns
    -------
    dict of str
        Name to text, the page last; its policy allows files beside it. Without a script there are two.
    """
    head, _, rest = page.partition("<style>")
    style, _, rest = rest.partition("</style>")
    body, _, code = rest.rpartition("<script>")
    code, _, end = code.partition("</script>")
    parts = {"report.css": style} | ({"report.js": code} if body else {})
    linked = f'{body}<script src="report.js"></script>{end}' if body else rest
    head = re.sub("'sha256-[^']*'", "'self'", head) + '<link rel="stylesheet" href="report.css">'
    linked = linked.replace(_ONE_FILE, f"This page loads {' and '.join(parts)} beside it")
    return {**parts, "report.html": head + linked}


def framed(page: str, title: str) -> str:
    """Return a page in a frame, for a notebook's ``_repr_html_``: it cannot reach the notebook around it."""
    size = 'width="100%" height="720"'
    name, inner = escape(block(title)), escape(page)
    return f'<iframe title="{name}" sandbox="allow-scripts allow-downloads" {size} srcdoc="{inner}"></iframe>'


def _asset(name: str) -> str:
    """Read a file of ``reports/``; its lines end in newlines, as in the page, or the hash would not fit."""
    text = files("dataaudit.reports").joinpath(name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n").strip()


def _hash(text: str) -> str:
    """Return what a content security policy calls sha256: the digest in base64."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _safe(value: object) -> object:
    """Show control characters of every printed value, before Jinja escapes it."""
    return block(value, _LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def environment() -> Environment:
    """Return the one environment: everything is escaped, nothing may be undefined."""
    return Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_safe,
        trim_blocks=True,
        keep_trailing_newline=False,
    )

"""The documentation of a rule, which is Markdown, as HTML for a page: no links, no pictures, no tags."""

from __future__ import annotations

from functools import cache
from typing import Final

from markdown_it import MarkdownIt
from markupsafe import Markup

from dataaudit.escape import block

_LONGEST: Final = 8_000  # characters
_OFF: Final = ("link", "image", "autolink", "html_inline", "html_block", "reference", "lheading")
_TOP: Final = 4  # level of the highest heading: the page has three above
_LAST: Final = 6


def as_html(doc: str) -> Markup:
    """Return a rule's documentation as HTML.

    Parameters
    ----------
    doc : str
        Markdown; a pack of one's own is no more trusted than cells are.

    Returns
    -------
    Markup
        Headings, paragraphs, lists, code and emphasis; everything else is text.
    """
    parser = _parser()
    tokens = parser.parse(block(doc, _LONGEST).strip())
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    levels = sorted({token.tag for token in headings})
    for token in headings:
        token.tag = f"h{min(_TOP + levels.index(token.tag), _LAST)}"
    return Markup(parser.renderer.render(tokens, parser.options, {}).strip())  # noqa: S704 - HTML is off


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).disable(list(_OFF))

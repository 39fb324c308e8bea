"""Text for terminals: what a file brought in must not steer them."""

from __future__ import annotations


def visible(text: str) -> str:
    r"""Return `text` in one line, with control characters as codes.

    Parameters
    ----------
    text : str
        Anything, also a value from a file.

    Returns
    -------
    str
        Runs of white space are one space; an escape character is ``\x1b``.
    """
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line
    )

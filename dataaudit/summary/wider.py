"""Which options of `audit vulnerability` would allow wider changes of the data at hand."""

from __future__ import annotations

import polars as pl


def wider(command: str, domain: pl.DataFrame) -> str:
    """Return options to add to a command: those that there are cells for, and that it does not give yet.

    Parameters
    ----------
    command : str
        As it was typed.
    domain : pl.DataFrame
        By the schema `vulnerability_findings.DOMAIN`; numbers that are too coarse to move have a spread.

    Returns
    -------
    str
        Empty where no option allows more: the rounding of pixels is what it is.
    """
    kinds = set(domain["kind"])
    coarse = (domain["kind"] == "fixed") & (domain["spread"] > 0)
    offered = {
        "--within .3": bool(kinds & {"number", "vector"} or coarse.any()),
        "--swaps 3": "category" in kinds,
        "--words 10": "words" in kinds,
    }
    given = {word.partition("=")[0] for word in command.split()}
    return " ".join(option for option, has in offered.items() if has and option.split()[0] not in given)

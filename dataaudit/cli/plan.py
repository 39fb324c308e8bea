"""``audit plan``: what an audit of labels would take."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Literal

from dataaudit.cli.bridge import OUTPUT, command
from dataaudit.cli.sources import Source
from dataaudit.escape import block
from dataaudit.options import LabelOptions, Opt


@command()
def plan(
    source: Source,
    options: LabelOptions,
    *,
    format: Annotated[Literal["text", "json"], Opt("How to write it.", OUTPUT)] = "text",  # noqa: A002 - --format
) -> int:
    """Say what audit labels would take: rows, features, memory, time and method, before anything runs.

    Exits with 1 if it does not fit into --memory.
    """
    from dataaudit.api.plan import plan as make

    found = make(source.resolved(), options)
    if format == "json":
        sys.stdout.write(json.dumps(found.to_dict(), ensure_ascii=True, indent=2) + "\n")
    else:
        text = str(found)
        sys.stdout.write(f"{block(text, len(text) + 1)}\n")
    return 0 if found.fits else 1

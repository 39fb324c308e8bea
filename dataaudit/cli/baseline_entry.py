"""What new entries of a baseline have in common: the reason, who accepts, and until when."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
from typing import TYPE_CHECKING, Annotated

import typer

from dataaudit.errors import SettingError

if TYPE_CHECKING:
    from dataaudit.gate.baseline import Entry

PANEL = "Entries"

Author = Annotated[
    str | None,
    typer.Option(
        "--author",
        metavar="NAME",
        show_default="Git's user.name",
        help="Who accepts.",
        rich_help_panel=PANEL,
    ),
]
Date = Annotated[
    str,
    typer.Option(
        "--date", metavar="DAY", help="When: 2026-11-24.", show_default="not said", rich_help_panel=PANEL
    ),
]
Expires = Annotated[
    str,
    typer.Option(
        "--expires",
        metavar="DAY",
        help="Last day: 2027-01-31, or 90d from today.",
        show_default="never",
        rich_help_panel=PANEL,
    ),
]


def like_of(reason: str, author: str | None, *, date: str, expires: str) -> Entry:
    """Return what new entries have in common."""
    from dataaudit.gate.baseline import Entry
    from dataaudit.gate.baselinefile import day

    if not reason.strip():
        raise SettingError("--reason is empty", "say why the findings are accepted")
    days = re.fullmatch(r"(\d{1,5})d", expires)
    until = (today() + dt.timedelta(days=int(days[1]))).isoformat() if days else expires
    return Entry(
        rule="",
        dataset="",
        fingerprint="",
        reason=reason.strip(),
        author=_git_user() if author is None else author,
        date=day(date, where="--date"),
        expires=day(until, where="--expires"),
    )


def _git_user() -> str:
    try:
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, check=False)  # noqa: S607
    except OSError:
        return ""
    return done.stdout.decode(errors="replace").strip()


def today() -> dt.date:
    """Return the day by which entries expire."""
    return dt.date.today()  # noqa: DTZ011 - the day where it is written, as for audit check

"""Where this dataaudit comes from, so that a workflow installs the same: pinned, and never by its bare name.

No package index is asked for ``dataaudit``: whoever takes a name there would run in every pipeline that asks.
What is installed is a repository at a commit, or a file with its hash. How this one was installed is written
down by pip (PEP 610); of a folder, its Git repository says it, if the commit can be had elsewhere. Where none
of them says it, `UNKNOWN` stands in its place, which no host and no installer takes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from dataaudit.errors import SettingError
from dataaudit.gate.git import said
from dataaudit.secrets import public

NAME: Final = "dataaudit"
REPOSITORY: Final = "<owner>/dataaudit@<commit>"  # this repository by a commit, as GitHub's ``uses:`` has it
UNKNOWN: Final = f"{NAME} @ git+https://<host>/{REPOSITORY}"
VARIABLE: Final = "DATAAUDIT"  # of a workflow: what it installs is said there alone
_COMMIT: Final = re.compile(r"git\+\w+://[^\s@]+(?:@[^\s@/]+/[^\s@]+)?@[0-9a-f]{40}(?:#\S*)?")
_HASHED: Final = re.compile(r"https?://\S+#(?:\S*&)?sha256=[0-9a-f]{64}(?:&\S*)?")
_SCP: Final = re.compile(r"(?:ssh://)?git@([\w.-]+)[:/](.+)")  # nobody else has the key


def requirement() -> str:
    """Return the requirement that is this dataaudit; `UNKNOWN` where nothing says it."""
    try:
        text = distribution(NAME).read_text("direct_url.json")
        record: dict[str, Any] = json.loads(text or "{}")
    except (PackageNotFoundError, ValueError):
        return UNKNOWN
    return of_record(record)


def of_record(record: Mapping[str, Any]) -> str:
    """Return what such a record of pip means."""
    url, commit = str(record.get("url", "")), str(record.get("vcs_info", {}).get("commit_id", ""))
    if url.startswith("file:") and "dir_info" in record:
        url, commit = _of_folder(Path(url2pathname(urlsplit(url).path)))
    hashes = record.get("archive_info", {}).get("hashes", {})
    hashed = f"{public(url)}#sha256={hashes.get('sha256', '')}"
    repository = public(_SCP.sub(r"https://\1/\2", url))
    found = f"git+{repository}@{commit}" if commit else hashed
    return UNKNOWN if url.startswith("file:") or not _is_pinned(found) else f"{NAME} @ {found}"


def pinned(given: str) -> str:
    """Return what was given as a requirement; raise SettingError if it may be another one tomorrow."""
    place = given.strip().removeprefix(NAME).lstrip(" @")
    if not _is_pinned(place):
        what = f"what is installed has to be pinned: got {given!r}"
        raise SettingError(
            what, "write git+https://HOST/OWNER/dataaudit@ and 40 digits of a commit, or URL#sha256=…"
        )
    return f"{NAME} @ {place}"


def _is_pinned(place: str) -> bool:
    return bool(_COMMIT.fullmatch(place) or _HASHED.fullmatch(place))


def _of_folder(folder: Path) -> tuple[str, str]:
    """Return remote and commit of a folder that was installed; empty if the commit is here alone."""
    asked = ("remote", "get-url", "origin"), ("rev-parse", "HEAD"), ("branch", "-r", "--contains", "HEAD")
    remote, commit, there = (said(folder, *words) for words in asked)
    changed = said(folder, "status", "--porcelain", "--untracked-files=no")
    return (remote, commit) if there and not changed else ("", "")

"""Several formats in one run: each file whole or not at all, all of them from one verdict."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from dataaudit.data.paths import require_apart
from dataaudit.errors import SettingError, WriteError
from dataaudit.files import write_page
from dataaudit.findings.verdict import Verdict
from dataaudit.writers.base import get
from dataaudit.writers.verdict_places import Surroundings


def check_outputs(outputs: Mapping[str, Path], sources: Iterable[str] = ()) -> None:
    """Check before the work begins that files could be written in these formats.

    Parameters
    ----------
    outputs : mapping
        Format → file.
    sources : iterable of str
        Files that are checked.

    Raises
    ------
    SettingError
        If there is no such format, or two go to one file.
    WriteError
        If a file's folder is a file, or the file is a folder, or one that is checked.
    """
    require_apart(outputs.values(), sources, hint="name another file with --output")
    taken: dict[Path, str] = {}
    for name, path in outputs.items():
        get(name, "check")
        if (other := taken.setdefault(path.absolute(), name)) != name:
            what = f"{other} and {name} would both be written to {path.as_posix()}"
            raise SettingError(what, "give each format a file of its own")
        if path.is_dir():
            raise WriteError(
                f"{path.as_posix()} is a folder", f"name a file: --output {name}={path.as_posix()}/…"
            )
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if not above.is_dir():
            raise WriteError(f"{path.as_posix()} cannot be made: {above.as_posix()} is a file")


def write_outputs(verdict: Verdict, around: Surroundings, *, outputs: Mapping[str, Path]) -> tuple[Path, ...]:
    """Write a verdict in several formats, each file whole or not at all; folders are made.

    Parameters
    ----------
    verdict : Verdict
    around : Surroundings
    outputs : mapping
        Format → file, which is replaced if it is there.

    Returns
    -------
    tuple of Path
        The files, in the order in which they were named.

    Raises
    ------
    SettingError, WriteError
        As `check_outputs`, or if a file cannot be written. All texts are made before the first is written.
    """
    check_outputs(outputs)
    texts = {name: _text(name, verdict, around=around) for name in outputs}
    for name, path in outputs.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"folder {path.parent.as_posix()} cannot be made: {error.strerror or error}"
            raise WriteError(what, "name a folder that you may write to") from error
        write_page(texts[name], path)
    return tuple(outputs.values())


def _text(name: str, verdict: Verdict, *, around: Surroundings) -> str:
    out = io.StringIO()
    get(name, "check").write(verdict, around, out)
    return out.getvalue()

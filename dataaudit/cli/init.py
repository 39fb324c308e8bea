"""``audit init``: write what makes a project check its data, for what is found in it."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from dataaudit.cli.bridge import Arg, command
from dataaudit.cli.progress import Progress
from dataaudit.options import Opt

if TYPE_CHECKING:
    from dataaudit.gate.init import FileEdit, Survey


Folder = Annotated[Path, Arg("The project.", metavar="FOLDER", shown="here")]
Ci = Annotated[
    Literal["auto", "github", "gitlab", "none"],
    Opt("Whose workflow to write; auto goes by the files and the remote."),
]
Install = Annotated[
    str,
    Opt(
        "What the workflow installs: git+URL@COMMIT, or URL#sha256=… of a wheel.",
        metavar="SOURCE",
        shown="where this one is from",
    ),
]
DryRun = Annotated[bool, Opt("Only show what would be written.")]
Force = Annotated[bool, Opt("Replace files that are there and differ.")]


@command()
def init(
    folder: Folder = Path(),
    *,
    ci: Ci = "auto",
    install: Install = "",
    dry_run: DryRun = False,
    force: Force = False,
    progress: Progress,
) -> None:
    """Write the configuration, the hook and the workflow of audit check for what is found here.

    What is there already stays: a block is added to a file, and a file that differs is shown and left.
    """
    from dataaudit.errors import UnreadableFile
    from dataaudit.gate.init import plan, survey
    from dataaudit.gate.install import pinned, requirement

    if not folder.is_dir():
        raise UnreadableFile(f"{folder.as_posix()!r} is no folder", "name the folder of the project")
    found = survey(folder)
    host = found.host if ci == "auto" else "" if ci == "none" else ci
    source = pinned(install) if install else requirement()
    edits = plan(folder, found, host=host, install=source)
    with progress:
        for sentence in _seen(found):
            progress.say(sentence)
        for edit in edits:
            progress.say(_carried_out(folder, edit, dry_run=dry_run, force=force))
        for sentence in _next(found, edits, host=host, dry_run=dry_run):
            progress.say(sentence)


def _carried_out(folder: Path, edit: FileEdit, *, dry_run: bool, force: bool) -> str:
    """Write a file, or show what would change; return a sentence about it."""
    from dataaudit.errors import WriteError
    from dataaudit.files import write_whole

    if edit.after is None:
        return edit.note
    kept = edit.replaces and not force
    if kept or dry_run:
        sys.stdout.writelines(_difference(edit))
    if kept:
        return f"{edit.path} is there and differs, as shown: it stays as it is. --force replaces it."
    if dry_run:
        return f"{edit.path} would be {'written' if edit.before is None else 'changed'}."
    path = folder / edit.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the folder of {edit.path} cannot be made: {error.strerror}"
        raise WriteError(what, "check its permissions, or write elsewhere and copy") from error
    write_whole(path, edit.after.encode(), like=path if edit.before is not None else None)
    return f"{edit.path} is {'written' if edit.before is None else 'changed'}."


def _difference(edit: FileEdit) -> Iterator[str]:
    from dataaudit.escape import visible

    before, after = (edit.before or "").splitlines(), (edit.after or "").splitlines()
    old = edit.path if edit.before is not None else "/dev/null"
    for line in difflib.unified_diff(before, after, old, edit.path, lineterm=""):
        yield line[:1] + "".join(c if c.isprintable() else visible(c) or " " for c in line[1:]) + "\n"


def _seen(found: Survey) -> Iterator[str]:
    for proposal in found.datasets:
        label = f"label {proposal.label!r}" if proposal.label else "its label column is for you to fill in"
        test = f", held out {proposal.test}" if proposal.test else ""
        row_id = f", id {proposal.id!r}" if proposal.id else ""
        yield f"Found {proposal.path}: {label}{row_id}{test}."
    if found.left_out:
        yield f"Found {found.left_out} more tables: add those that count by hand."
    if not found.datasets:
        yield "Found no table here: fill in a dataset."


def _next(found: Survey, edits: list[FileEdit], *, host: str, dry_run: bool) -> Iterator[str]:
    from dataaudit.gate.install import UNKNOWN

    if dry_run:
        yield "Nothing was written."
        return
    if not host:
        yield "No workflow: neither GitHub nor GitLab was found. Write one with --ci github or --ci gitlab."
    if any(edit.path.endswith(".pre-commit-config.yaml") and edit.after is not None for edit in edits):
        yield "To switch the hook on: pre-commit install --hook-type pre-push"
    unknown = [edit.path for edit in edits if edit.after is not None and UNKNOWN in edit.after]
    if unknown:
        yield f"Fill in where dataaudit comes from in {unknown[0]}, or name it: audit init --install."
    blank = [proposal.name for proposal in found.datasets if not proposal.label]
    if blank and edits[0].after is not None:
        yield f"Fill in the label of {', '.join(blank)} in {edits[0].path}, or only the table is checked."
    yield "To check: audit check"

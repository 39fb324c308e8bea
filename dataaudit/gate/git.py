"""What is asked of Git, by its own program; nothing of a repository is ever changed."""

from __future__ import annotations

import os
import posixpath
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dataaudit.errors import SettingError, UnreadableFile


@dataclass(frozen=True)
class Repository:
    """The repository of a folder."""

    cwd: Path

    def require(self, name: str) -> None:
        """Raise an error if the folder is in no repository; `name` is what was wanted of it."""
        done = self._run("rev-parse", "--is-inside-work-tree")
        if not done.returncode:
            return
        if b"dubious ownership" in done.stderr:
            what = f"{name} cannot be had: Git does not trust a repository of another user"
            raise UnreadableFile(what, "run git config --global --add safe.directory FOLDER")
        raise UnreadableFile(f"{name} is no file, and this is no Git repository", "give a file as --base")

    @cached_property
    def prefix(self) -> str:
        """The folder as it is called from the root, with a slash at its end; empty for the root."""
        return self._text("rev-parse", "--show-prefix") or ""

    def from_root(self, path: str) -> str:
        """Return a path of a revision as it counts from the root: ``./`` and ``../`` are from here."""
        return posixpath.normpath(self.prefix + path) if path.startswith(("./", "../")) else path

    def parsed(self, name: str) -> str | None:
        """Return the hash that a name stands for; a name that looks like an option stands for nothing."""
        return self._text("rev-parse", "--verify", "--quiet", "--end-of-options", name)

    def commit(self, revision: str) -> str | None:
        """Return the hash of the commit, or of the tree, that a revision is."""
        return self.parsed(f"{revision}^{{commit}}") or self.parsed(f"{revision}^{{tree}}")

    def is_blob(self, blob: str) -> bool:
        """Tell whether a hash is of a file's content."""
        return self._text("cat-file", "-t", blob) == "blob"

    def is_shallow(self) -> bool:
        """Tell whether the clone lacks earlier commits."""
        return self._text("rev-parse", "--is-shallow-repository") == "true"

    def is_unchanged(self, path: str) -> bool:
        """Tell whether a file is as HEAD has it."""
        return not self._run("diff", "--quiet", "HEAD", "--", path).returncode and bool(
            self.parsed(f"HEAD:{path}")
        )

    def is_tracked(self, path: str) -> bool:
        """Tell whether a file is part of the repository; without Git none is."""
        return (
            bool(shutil.which("git")) and not self._run("ls-files", "--error-unmatch", "--", path).returncode
        )

    def has_remote(self, name: str) -> bool:
        """Tell whether the repository has a remote of this name."""
        return name in (self._text("remote") or "").splitlines()

    def knows(self, remote: str) -> bool:
        """Tell whether anything of a remote was ever fetched or pushed."""
        return bool(self._text("for-each-ref", "--count=1", f"refs/remotes/{remote}"))

    def renamed(self, revision: str, path: str) -> str | None:
        """Return what a file was called in a revision, by its content; None if it was not there."""
        compare = ("diff", "--find-renames", "-l0", "--name-status", "--diff-filter=R", "-z", "--no-ext-diff")
        names_only = ("--no-relative", "--end-of-options", revision)
        listed = (self._text(*compare, *names_only) or "").split("\0")
        names = dict(zip(listed[2::3], listed[1::3], strict=False))
        old = names.get(self.from_root(path))
        if old is None and not self.is_tracked(path):
            blob = self._text("hash-object", "--", path)
            tree = (self._text("ls-tree", "-r", "-z", "--full-tree", revision) or "").split("\0")
            held = [entry.partition("\t") for entry in tree]
            same = [name for about, _, name in held if blob and about.endswith(blob)]
            gone = [name for name in same if not (self._root / name).exists()]
            old = gone[0] if gone else None
        return old

    @property
    def folders(self) -> list[Path]:
        """Where Git LFS may keep objects: the repository's own folder, and that of its first clone."""
        found = (self._text("rev-parse", name) for name in ("--git-dir", "--git-common-dir"))
        return [self.cwd / name for name in found if name]

    @property
    def _root(self) -> Path:
        return Path(self._text("rev-parse", "--show-toplevel") or self.cwd)

    def write(self, blob: str, target: Path) -> None:
        """Write the content of a hash to a file."""
        with target.open("wb") as file:
            done = subprocess.run(  # noqa: S603 - the arguments are ours and a hash
                [_program(), "cat-file", "blob", blob],
                cwd=self.cwd,
                stdout=file,
                stderr=subprocess.PIPE,
                check=False,
            )
        if done.returncode:
            why = done.stderr.decode(errors="replace")
            raise UnreadableFile(f"the base cannot be had from Git: {why}", "run git fetch")

    def _text(self, *arguments: str) -> str | None:
        """Return what Git says, or None if it fails."""
        done = self._run(*arguments)
        return None if done.returncode else done.stdout.decode(errors="surrogateescape").strip()

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return _run(arguments, self.cwd)


def said(folder: Path, *words: str) -> str:
    """Return what Git says of a folder; nothing where it fails or is not installed."""
    try:
        done = _run(words, folder)
    except (SettingError, OSError):
        return ""
    return "" if done.returncode else done.stdout.decode(errors="replace").strip()


def _program() -> str:
    program = shutil.which("git")
    if program is None:
        raise SettingError("a base in a revision needs Git, which is not installed", "give a file as --base")
    return program


def _run(arguments: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "LC_ALL": "C"}  # one of its messages is looked at
    command = [_program(), "--literal-pathspecs", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, check=False)  # noqa: S603

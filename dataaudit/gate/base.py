"""The base: data as they were accepted, from a file or from a revision of the repository.

``origin/main:data/train.parquet`` is Git's own way to name a file of a revision; ``origin/main:`` is the file
that is checked, and ``origin/main:./train.parquet`` counts from here. The file that is checked is followed::

    the revision has it             its content there
    it is what is checked           of a push the commit before it, else the first parent of HEAD
    it has another name there       that of Git's own rename detection
    it has no such file             no base: all rows are new
    there is no revision yet        likewise

Its bytes go into a temporary file: the working tree, the index and the configuration of Git are left alone,
and no filter of theirs is run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from dataaudit.data.pointers import BYTES, SUFFIX, dvc_object, is_of, lfs_object
from dataaudit.errors import DataError, SettingError, UnreadableFile
from dataaudit.escape import shown
from dataaudit.files import is_file, is_folder
from dataaudit.gate.git import Repository

_LFS: Final = b"version https://git-lfs.github.com/spec/"
_DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]")
_DEEPEN: Final = "or set fetch-depth: 0 of actions/checkout, in GitLab GIT_DEPTH: 0"
_SHOWN: Final = 10  # digits of a commit


@dataclass(frozen=True, slots=True)
class Base:
    """What a base is; without a file and without a blob there is none."""

    file: str = ""  # the path as given, where it is no revision's
    blob: str = ""  # Git's name of its content
    path: str = ""  # what it is called in the revision, for messages and its ending
    note: str = ""  # what was decided, a full sentence


def find_base(base: str, paths: Sequence[str], *, cwd: Path, env: Mapping[str, str] = os.environ) -> Base:
    """Return what a base is, without reading it."""
    revision, colon, path = base.partition(":")
    is_path = is_file(cwd / base) or is_folder(cwd / base)
    if not colon or is_path or _DRIVE.match(base) or "://" in base:
        return Base(file=base)
    git, own = Repository(cwd), "" if path and not _is_one(paths) else _same(base, paths)
    git.require(f"{revision}:{path or own}")
    if path and git.from_root(path) != git.from_root(own):
        return _kept(git, revision, path) or Base(blob=_blob(git, revision, path), path=f"{revision}:{path}")
    return _followed(git, revision, own, env)


@contextmanager
def base_file(base: Base, *, cwd: Path) -> Iterator[str]:
    """Yield the path of a base, which is removed afterwards if it is a copy."""
    if base.file:
        _no_pointer(cwd / base.file, base.file)
        yield base.file
        return
    with tempfile.TemporaryDirectory(prefix="dataaudit-base-") as folder:
        name = PurePosixPath(base.path.partition(":")[2]).name
        target = Path(folder) / name.removesuffix(SUFFIX)
        git = Repository(cwd)
        git.write(base.blob, target)
        with target.open("rb") as opened:
            head = opened.read(BYTES + 1)
        here = [cwd, *cwd.parents] if name.endswith(SUFFIX) else []
        kept = lfs_object(head, git.folders) or dvc_object(head, here)
        if kept is None:
            _no_pointer(target, base.path)
        else:
            shutil.copyfile(kept, target)
        yield target.as_posix()


def _is_one(paths: Sequence[str]) -> bool:
    """Tell whether the data are one file, by a path from here."""
    if len(paths) != 1 or paths[0] == "-" or "://" in paths[0] or any(mark in paths[0] for mark in "*?["):
        return False
    return not Path(paths[0]).is_absolute()


def _same(base: str, paths: Sequence[str]) -> str:
    """Return the checked file as Git names it from here."""
    if not _is_one(paths):
        if len(paths) == 1 and Path(paths[0]).is_absolute():
            raise SettingError(f"--base {base} is for a path from here", "name the data by a relative path")
        hint = f"write {base}data/train.csv"
        raise SettingError(f"--base {base} names no file, and the data are not one file", hint)
    path = PurePosixPath(os.path.normpath(paths[0]).replace(os.sep, "/")).as_posix()
    return path if path.startswith("../") else f"./{path}"


def _followed(git: Repository, revision: str, path: str, env: Mapping[str, str]) -> Base:
    """Return the file that is checked, as a revision has it, under whatever name."""
    if revision and git.commit(revision) is None:
        if _is_unborn(git, revision):
            return Base(note=f"There is no {shown(revision)} yet: all rows are new.")
        raise _no_revision(git, revision)
    said = f"{shown(revision)}:"
    if revision and git.commit(revision) == git.commit("HEAD") and _is_unchanged(git, path):
        same = "Nothing has changed since HEAD" if revision == "HEAD" else f"HEAD is {said.removesuffix(':')}"
        before = _before(git, env)
        if before is None:
            return Base(note=f"{same}, the first commit: all rows are new.")
        said = f"the commit before it, {before[:_SHOWN]}"
        note = f"{same}, so the base is {said}."
        return _named(git, before, path, said, note)
    return _named(git, revision, path, said.removesuffix(":"), "")


def _named(git: Repository, revision: str, path: str, said: str, note: str) -> Base:
    """Return the file of a revision under its name, or under the one that it had."""
    name = f"{revision}:{path}"
    if git.parsed(name) is not None:
        return Base(blob=_blob(git, revision, path), path=name, note=note)
    if (kept := _kept(git, revision, path)) is not None:
        return replace(kept, note=note)
    old = git.renamed(revision, path) if revision else None
    if old is not None:
        followed = (
            f"{shown(path.removeprefix('./'))} is called {shown(old)} in {said}, and is compared with that."
        )
        return Base(
            blob=_blob(git, revision, old), path=f"{revision}:{old}", note=f"{note} {followed}".strip()
        )
    none = f"There is no {shown(path.removeprefix('./'))} in {said}: all rows are new."
    return Base(note=f"{note} {none}".strip())


def _kept(git: Repository, revision: str, path: str) -> Base | None:
    """Return the base of which a revision has a pointer of DVC alone; None if it has none, or the file."""
    name = f"{revision}:{path}"
    pointer = None if git.parsed(name) else git.parsed(name + SUFFIX)
    return None if pointer is None else Base(blob=pointer, path=name + SUFFIX)


def _is_unchanged(git: Repository, path: str) -> bool:
    """Tell whether the data are as HEAD has them, or as its pointer of DVC says."""
    if git.is_unchanged(path):
        return True
    pointer = Path(git.cwd, path + SUFFIX)
    if not git.is_unchanged(path + SUFFIX) or not Path(git.cwd, path).is_file():
        return False
    return is_of(pointer.read_bytes(), Path(git.cwd, path))


def _is_unborn(git: Repository, revision: str) -> bool:
    """Tell whether a branch is not there because nothing was committed, or nothing was pushed yet."""
    if git.commit("HEAD") is None:
        return True
    remote, slash, _ = revision.partition("/")
    return bool(slash) and not git.is_shallow() and git.has_remote(remote) and not git.knows(remote)


def _before(git: Repository, env: Mapping[str, str]) -> str | None:
    """Return the commit that a push came on top of, or the first parent of HEAD; None before the first."""
    pushed = _pushed_on(env)
    if pushed and git.commit(pushed) is not None and git.commit(pushed) != git.commit("HEAD"):
        return pushed
    parent = git.commit("HEAD^")
    if parent is None or (pushed and git.is_shallow() and git.commit(pushed) is None):
        if git.is_shallow():
            name = f", {pushed[:_SHOWN]}," if pushed else ""
            what = f"the commit before this one{name} is not in this shallow clone"
            raise UnreadableFile(what, f"run git fetch --deepen={'100' if pushed else '1'}, {_DEEPEN}")
        return None
    return parent


def _pushed_on(env: Mapping[str, str]) -> str:
    """Return the commit that was there before a push, by what the service says; empty if it says none."""
    before = env.get("CI_COMMIT_BEFORE_SHA", "")
    if env.get("GITHUB_EVENT_NAME") == "push":
        try:
            event = json.loads(Path(env.get("GITHUB_EVENT_PATH", "")).read_text(encoding="utf-8"))
            before = str(event.get("before") or "")
        except (OSError, ValueError, AttributeError):
            before = ""
    return before if re.fullmatch(r"[0-9a-f]{40,64}", before) and before.strip("0") else ""


def _blob(git: Repository, revision: str, path: str) -> str:
    """Return Git's name of what a path holds in a revision."""
    name = f"{revision}:{path}"
    if revision and git.commit(revision) is None:
        raise _no_revision(git, revision)
    blob = git.parsed(name)
    if blob is None:
        raise _no_file(git, revision, path)
    if not git.is_blob(blob):
        raise DataError(f"{name} is a folder, and one file is needed", "name a file in it")
    return blob


def _no_revision(git: Repository, revision: str) -> UnreadableFile:
    remote, slash, branch = revision.partition("/")
    shallow = git.is_shallow()
    hint = f"run git fetch {remote} {branch}" if slash and branch else "run git fetch --all"
    if shallow:
        one = f"git fetch --depth=1 {remote} {branch}:refs/remotes/{revision}"
        more = one if slash else "git fetch --unshallow"
        hint = f"run {more}, {_DEEPEN}"
    clone = "this shallow clone" if shallow else "this clone"
    return UnreadableFile(f"revision {revision!r} is not in {clone}", hint)


def _no_file(git: Repository, revision: str, path: str) -> DataError:
    name = f"{revision}:{path}"
    from_here = f"{revision}:./{path}"
    if git.prefix and git.parsed(from_here) is not None:
        return UnreadableFile(f"{name} is not in Git", f"did you mean {from_here}?")
    hint = f"the path counts from the root of the repository; look with git ls-tree -r --name-only {revision}"
    return UnreadableFile(f"revision {revision!r} has no file {path!r}", hint)


def _no_pointer(file: Path, name: str) -> None:
    """Refuse a small text that stands for data kept elsewhere."""
    try:
        with file.open("rb") as opened:
            head = opened.read(BYTES + 1)
    except OSError:
        return  # a glob, a folder, or absent: whoever reads it says so
    path = name.partition(":")[2] or name
    if len(head) > BYTES:
        return
    if head.startswith(_LFS):
        command = f"git show {name} | git lfs smudge > base{_ends(path)}" if ":" in name else "git lfs pull"
        raise _kept_elsewhere(name, "Git LFS", command, path)
    if name.endswith(".dvc") and b"outs:" in head:
        data = path.removesuffix(".dvc")
        command = f"dvc get . {data} --rev {name.partition(':')[0]} -o base{_ends(data)}"
        raise _kept_elsewhere(name, "DVC", command, data)


def _kept_elsewhere(name: str, keeper: str, command: str, path: str) -> DataError:
    where = f"and then --base base{_ends(path)}" if "base" in command else "first"
    return DataError(f"{name} is a pointer: {keeper} keeps the data elsewhere", f"run {command} {where}")


def _ends(path: str) -> str:
    return "".join(PurePosixPath(path).suffixes[-2:])

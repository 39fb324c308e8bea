"""The base: data as they were accepted, from a file or from a revision of the repository.

``origin/main:data/train.parquet`` is Git's own way to name a file of a revision; ``origin/main:`` is the file
that is checked, and ``origin/main:./train.parquet`` counts from here. Its bytes go into a temporary file: the
working tree, the index and the configuration of Git are left alone, and no filter of theirs is run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from dataaudit.errors import DataError, SettingError, UnreadableFile
from dataaudit.files import is_file, is_folder

_LFS: Final = b"version https://git-lfs.github.com/spec/"
_POINTER: Final = 1024  # bytes that a pointer never exceeds
_DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]")


@contextmanager
def base_file(base: str, paths: Sequence[str], *, cwd: Path) -> Iterator[str]:
    """Yield the path of a base, which is removed afterwards if it is a copy."""
    named = _in_git(base, paths, cwd)
    if named is None:
        _no_pointer(cwd / base, base)
        yield base
        return
    revision, path = named
    with tempfile.TemporaryDirectory(prefix="dataaudit-base-") as folder:
        target = Path(folder) / PurePosixPath(path).name
        _write(_blob(revision, path, cwd), target, cwd=cwd)
        _no_pointer(target, f"{revision}:{path}")
        yield target.as_posix()


def blob_of(base: str, paths: Sequence[str], *, cwd: Path) -> str | None:
    """Return Git's name of a base's content, or None if the base is a file."""
    named = _in_git(base, paths, cwd)
    return None if named is None else _blob(*named, cwd)


def _in_git(base: str, paths: Sequence[str], cwd: Path) -> tuple[str, str] | None:
    """Return revision and path, or None if a file is meant."""
    revision, colon, path = base.partition(":")
    is_path = is_file(cwd / base) or is_folder(cwd / base)
    if not colon or is_path or _DRIVE.match(base) or "://" in base:
        return None
    return revision, path or _same(base, paths)


def _same(base: str, paths: Sequence[str]) -> str:
    """Return the checked file as Git names it from here."""
    if len(paths) != 1 or any(mark in paths[0] for mark in "*?[") or "://" in paths[0] or paths[0] == "-":
        hint = f"write {base}data/train.csv"
        raise SettingError(f"--base {base} names no file, and the data are not one file", hint)
    if Path(paths[0]).is_absolute():
        raise SettingError(f"--base {base} is for a path from here", "name the data by a relative path")
    path = PurePosixPath(os.path.normpath(paths[0]).replace(os.sep, "/")).as_posix()
    return path if path.startswith("../") else f"./{path}"


def _blob(revision: str, path: str, cwd: Path) -> str:
    """Return Git's name of what a path holds in a revision."""
    name = f"{revision}:{path}"
    _in_repository(name, cwd)
    if revision and _parsed(f"{revision}^{{tree}}", cwd) is None:
        raise _no_revision(revision, cwd)
    blob = _parsed(name, cwd)
    if blob is None:
        raise _no_file(revision, path, cwd)
    if _git(["cat-file", "-t", blob], cwd) != b"blob\n":
        raise DataError(f"{name} is a folder, and one file is needed", "name a file in it")
    return blob


def _parsed(name: str, cwd: Path) -> str | None:
    """Return the hash that a name stands for; a name that looks like an option stands for nothing."""
    parsed = _git(["rev-parse", "--verify", "--quiet", "--end-of-options", name], cwd)
    return None if parsed is None else parsed.decode().strip()


def _write(blob: str, target: Path, *, cwd: Path) -> None:
    with target.open("wb") as file:
        done = subprocess.run(  # noqa: S603 - the arguments are ours and a hash
            [_program(), "cat-file", "blob", blob], cwd=cwd, stdout=file, stderr=subprocess.PIPE, check=False
        )
    if done.returncode:
        why = done.stderr.decode(errors="replace")
        raise UnreadableFile(f"the base cannot be had from Git: {why}", "run git fetch")


def _in_repository(name: str, cwd: Path) -> None:
    done = _run(["rev-parse", "--is-inside-work-tree"], cwd)
    if not done.returncode:
        return
    if b"dubious ownership" in done.stderr:
        what = f"{name} cannot be had: Git does not trust a repository of another user"
        raise UnreadableFile(what, "run git config --global --add safe.directory FOLDER")
    raise UnreadableFile(f"{name} is no file, and this is no Git repository", "give a file as --base")


def _no_revision(revision: str, cwd: Path) -> UnreadableFile:
    remote, slash, branch = revision.partition("/")
    shallow = _git(["rev-parse", "--is-shallow-repository"], cwd) == b"true\n"
    hint = f"run git fetch {remote} {branch}" if slash and branch else "run git fetch --all"
    if shallow:
        one = f"git fetch --depth=1 {remote} {branch}:refs/remotes/{revision}"
        more = one if slash else "git fetch --unshallow"
        hint = f"run {more}, or set fetch-depth: 0 of actions/checkout"
    clone = "this shallow clone" if shallow else "this clone"
    return UnreadableFile(f"revision {revision!r} is not in {clone}", hint)


def _no_file(revision: str, path: str, cwd: Path) -> DataError:
    name = f"{revision}:{path}"
    if _parsed(f"{name}.dvc", cwd) is not None:
        return _kept_elsewhere(name, "DVC", f"dvc get . {path} --rev {revision} -o base{_ends(path)}", path)
    inside = _git(["rev-parse", "--show-prefix"], cwd) or b""
    here = inside.decode(errors="replace").strip()
    from_here = f"{revision}:./{path}"
    if here and _parsed(from_here, cwd) is not None:
        return UnreadableFile(f"{name} is not in Git", f"did you mean {from_here}?")
    hint = f"the path counts from the root of the repository; look with git ls-tree -r --name-only {revision}"
    return UnreadableFile(f"revision {revision!r} has no file {path!r}", hint)


def _no_pointer(file: Path, name: str) -> None:
    """Refuse a small text that stands for data kept elsewhere."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_POINTER + 1)
    except OSError:
        return  # a glob, a folder, or absent: whoever reads it says so
    path = name.partition(":")[2] or name
    if len(head) > _POINTER:
        return
    if head.startswith(_LFS):
        command = f"git show {name} | git lfs smudge > base{_ends(path)}" if ":" in name else "git lfs pull"
        raise _kept_elsewhere(name, "Git LFS", command, path)
    if name.endswith(".dvc") and b"outs:" in head:
        data = path.removesuffix(".dvc")
        command = f"dvc get . {data} --rev REVISION -o base{_ends(data)}"
        raise _kept_elsewhere(name, "DVC", command, data)


def _kept_elsewhere(name: str, keeper: str, command: str, path: str) -> DataError:
    where = f"and then --base base{_ends(path)}" if "base" in command else "first"
    return DataError(f"{name} is a pointer: {keeper} keeps the data elsewhere", f"run {command} {where}")


def _ends(path: str) -> str:
    return "".join(PurePosixPath(path).suffixes[-2:])


def _program() -> str:
    program = shutil.which("git")
    if program is None:
        raise SettingError("a base in a revision needs Git, which is not installed", "give a file as --base")
    return program


def _git(arguments: Sequence[str], cwd: Path) -> bytes | None:
    """Return what Git says, or None if it fails."""
    done = _run(arguments, cwd)
    return None if done.returncode else done.stdout


def _run(arguments: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "LC_ALL": "C"}  # one of its messages is looked at
    return subprocess.run([_program(), *arguments], cwd=cwd, env=env, capture_output=True, check=False)  # noqa: S603

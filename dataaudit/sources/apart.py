"""No result is written over the data that it came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dataaudit.errors import WriteError
from dataaudit.sources.blob import STDIN
from dataaudit.sources.find import find
from dataaudit.sources.wanted import shown


def require_apart(targets: Iterable[Path], sources: Iterable[str | Path], *, hint: str) -> None:
    """Refuse to write over a file that was read, under whatever name.

    Parameters
    ----------
    targets : iterable of Path
        Files that are to be written.
    sources : iterable of str or Path
        Files that were read; a folder stands for all files in it.
    hint : str
        What to do instead.

    Raises
    ------
    WriteError
        If a target is one of them.
    """
    read = [Path(source) for source in sources if _is_there(source)]
    for target in targets:
        if read and _is_there(target) and any(_holds(source, target) for source in read):
            what = f"{shown(target.as_posix())} is what was read, and would be written over"
            raise WriteError(what, hint)


def files_meant(sources: Iterable[Any], target: str) -> Iterator[str]:
    """Yield the files that paths, globs and folders mean; frames and queries mean none.

    Parameters
    ----------
    sources : iterable
        Each as `load` takes it, or None.
    target : str
        The label column, as `find` needs it.

    Raises
    ------
    UnreadableFile
        If one means no file.
    """
    for source in sources:
        paths = [source] if isinstance(source, str | Path) else source if isinstance(source, list) else ()
        if not paths or all(str(path) == STDIN for path in paths):
            continue
        found = find(paths, target)
        yield from (*found.tables, *(path for text_class in found.classes for path in text_class.files))


def files_read(record: Any) -> list[str]:
    """Return the files that a provenance names: of the training and of the test rows."""
    origins: Iterable[Mapping[str, Any]] = (*record.origins, *getattr(record, "test_origins", ()))
    return [str(origin["path"]) for origin in origins]


def _is_there(path: str | Path) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name that is too long, or holds a null byte
        return False


def _holds(source: Path, target: Path) -> bool:
    """Whether `target` is the file, or in the folder."""
    if source.is_dir():
        return source.resolve() in target.resolve().parents
    return source.samefile(target)

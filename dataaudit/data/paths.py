"""Which files are meant by a path, a glob, a folder, or a list of these; no result is written over them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from dataaudit.data.blob import PACKED, RARE_NAMES, STDIN, TABLE_NAMES
from dataaudit.errors import DataError, UnreadableFile, WriteError, closest
from dataaudit.escape import shown
from dataaudit.secrets import public

_HEADER_BYTES = 1 << 16
_POINTER = ".dvc"  # after the name of what it stands for
TEXT_NAMES = frozenset({".txt", ".text", ".eml", ".md"})
_LOGS = {"_delta_log": "Delta Lake", ".hoodie": "Hudi"}
_SAVED = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})


@dataclass(frozen=True, slots=True)
class TextClass:
    """Text files that share a label."""

    label: str
    folder: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be read: tables or, if there are none, text classes."""

    tables: tuple[str, ...]  # paths (or ``-``), in reading order, none twice
    classes: tuple[TextClass, ...] = ()  # two or more where `tables` is empty
    notes: tuple[str, ...] = ()


def find(sources: Iterable[str | Path], target: str) -> Found:
    """Return the files that `sources` mean.

    A folder means the tables below it, sorted, or, if there are none, its subfolders as classes of texts.
    Several folders without tables, or text files from several folders, are classes of texts too.
    """
    given = list(dict.fromkeys(os.fspath(source) for source in sources))
    paths = _once(path for item in given for path in _expand(item))
    if not paths:
        raise UnreadableFile("no file was given", "name a file, a folder, a glob, or - for stdin")
    folders = [path for path in paths if path != STDIN and Path(path).is_dir()]
    inside = {folder: _tables_below(folder) for folder in folders}
    if folders and not any(inside.values()):
        return _classes_of_folders(folders, [path for path in paths if path not in inside])
    if not folders and _are_texts(paths, target):
        return _classes_of_files(paths)
    return Found(tuple(_once(table for path in paths for table in inside.get(path, [path]))))


def _expand(given: str) -> list[str]:
    if given == STDIN or _exists(given):
        return [given]
    if "://" in given:
        from dataaudit.data.remote import files_at  # noqa: PLC0415 - few data are elsewhere

        files, is_folder = files_at(given)
        return _tables(files, public(given)) if is_folder else files
    if not glob.has_magic(given):
        raise _absent(given)
    matches = sorted(glob.glob(given, recursive=True))  # noqa: PTH207 - a pattern may be absolute
    if not matches:
        pointers = sorted(glob.glob(given + _POINTER, recursive=True))  # noqa: PTH207 - the same
        raise (_elsewhere(pointers[0].removesuffix(_POINTER)) if pointers else None) or UnreadableFile(
            f"no file matches '{shown(given)}'", "check the pattern, and the folder you are in"
        )
    return matches


def _exists(path: str | Path) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name that is too long, or holds a null byte
        return False


def _elsewhere(path: str) -> UnreadableFile | None:
    from dataaudit.data.pointers import absent  # noqa: PLC0415 - most files are there

    return absent(path)


def _absent(given: str) -> UnreadableFile:
    if (elsewhere := _elsewhere(given)) is not None:
        return elsewhere
    path = Path(given)
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except (OSError, ValueError):
        return UnreadableFile(f"no such file: '{shown(given)}', nor its folder", "check the path")
    near = closest(path.name, names)
    if near:
        return UnreadableFile(
            f"no such file: '{shown(given)}'", f"did you mean '{shown((path.parent / near).as_posix())}'?"
        )
    some = ", ".join(map(shown, names[:5])) + (", …" if len(names) > 5 else "")  # noqa: PLR2004 - a line's worth
    return UnreadableFile(f"no such file: '{shown(given)}'", f"its folder holds {some or 'nothing'}")


def _once(paths: Iterable[str]) -> list[str]:
    """Drop a path that was met before, under whatever spelling: its rows would be counted twice."""
    first: dict[str | Path, str] = {}
    for path in paths:
        remote = path == STDIN or ("://" in path and not _exists(path))
        first.setdefault(path if remote else Path(os.path.normpath(Path(path).absolute())), path)
    return list(first.values())


def _files_below(folder: str) -> Iterator[str]:
    """Yield the files below `folder`, sorted, less those of others' bookkeeping: ``.x`` and ``_x``.

    A folder ``_x=1`` is a column of the tables in it.
    """

    def fail(error: OSError) -> None:
        raise UnreadableFile(
            f"folder {shown(folder)} may not be read: {error.strerror}", "check its permissions"
        )

    for here, inner, names in os.walk(folder, onerror=fail):
        inner[:] = sorted(name for name in inner if not _is_hidden(name) or (name[0] == "_" and "=" in name))
        yield from (str(Path(here) / name) for name in sorted(names) if not _is_hidden(name))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _kind(path: str) -> str:
    """Return the suffix of the unpacked file."""
    pure = PurePath(path)
    suffix = pure.suffix.lower()
    return PurePath(pure.stem).suffix.lower() if suffix in PACKED else suffix


def _tables_below(folder: str) -> list[str]:
    if any(_exists(Path(folder, name)) for name in _SAVED):
        from dataaudit.data.formats.huggingface import saved_files  # noqa: PLC0415 - few folders are such

        saved = saved_files(Path(folder))
        if saved:
            return saved
    for log, kind in _LOGS.items():
        if _exists(Path(folder, log)):
            what = f"folder {shown(folder)} is a table of {kind}, whose files hold rows of older versions too"
            raise DataError(what, "write it as Parquet by its own library, or hand it over from Python")
    files = list(_files_below(folder))
    known = set(files)
    for path in (file.removesuffix(_POINTER) for file in files if file.endswith(_POINTER)):
        # Rows that are not here would be missing without a word.
        if path not in known and _kind(path) in TABLE_NAMES and (elsewhere := _elsewhere(path)):
            raise elsewhere
    return _tables(files, folder)


def _tables(files: list[str], folder: str) -> list[str]:
    """Return the tables among the files below a folder."""
    tables = [path for path in files if _kind(path) in TABLE_NAMES and PurePath(path).name not in _SAVED]
    tables = tables or [path for path in files if _kind(path) in RARE_NAMES]
    kinds = sorted({_kind(path) for path in tables})
    if len(kinds) > 1:
        raise DataError(
            f"folder {shown(folder)} holds tables of {len(kinds)} kinds: {', '.join(kinds)}",
            f"say which: '{shown(PurePath(folder).as_posix())}/*{kinds[0]}'",
        )
    return tables


def _are_texts(paths: list[str], target: str) -> bool:
    """Whether these are text files from several folders, and not tables that are called .txt."""
    texts = all(path != STDIN and PurePath(path).suffix.lower() in TEXT_NAMES for path in paths)
    return texts and len({PurePath(path).parent for path in paths}) > 1 and not _has_column(paths[0], target)


def _has_column(path: str, target: str) -> bool:
    """Whether the first line of `path` is a header that holds `target`."""
    try:
        with Path(path).open("rb") as file:
            line = file.readline(_HEADER_BYTES)
    except OSError:
        return False
    from dataaudit.data.formats.header import sniff_separator  # noqa: PLC0415 - few paths need it

    fields = line.decode(errors="replace").strip().split(sniff_separator(line).decode())
    return len(fields) > 1 and target in (field.strip(' "') for field in fields)


def _classes_of_folders(folders: list[str], others: list[str]) -> Found:
    """Take the folders, or the subfolders of a single one, as classes."""
    if len(folders) == 1:
        files = list(_files_below(folders[0]))
        root = PurePath(folders[0])
        parts = [(path, PurePath(path).relative_to(root).parts) for path in files]
        others = [*others, *(path for path, names in parts if len(names) == 1)]
        inner = sorted({names[0] for _, names in parts if len(names) > 1})
        if len(inner) < 2:  # noqa: PLR2004 - a single class has nothing to differ from
            raise _nothing_in(folders[0], inner)
        folders = [str(root / name) for name in inner]
    classes = [TextClass(Path(f).absolute().name, f, tuple(_files_below(f))) for f in folders]
    return _found(classes, others)


def _classes_of_files(paths: list[str]) -> Found:
    by_folder: dict[Path, list[str]] = {}
    for path in paths:
        by_folder.setdefault(Path(path).parent, []).append(path)
    classes = [
        TextClass(folder.absolute().name, str(folder), tuple(sorted(files)))
        for folder, files in by_folder.items()
    ]
    return _found(classes, [])


def _found(classes: list[TextClass], others: list[str]) -> Found:
    full = [text_class for text_class in classes if text_class.files]
    if not full:
        raise UnreadableFile(
            f"no files found in {shown(classes[0].folder)} or its sibling class folders", "check the path"
        )
    passed = [shown(path) for path in (*others, *(c.folder for c in classes if not c.files))]
    notes: tuple[str, ...] = ()
    if passed:
        some = ", ".join(passed[:3]) + (", …" if len(passed) > 3 else "")  # noqa: PLR2004 - a line's worth
        notes = (f"{some}: left out, since the classes are the folders that hold texts.",)
    return Found((), tuple(full), notes)


def _nothing_in(folder: str, inner: list[str]) -> UnreadableFile:
    name = shown(PurePath(folder).as_posix())
    if inner:
        return UnreadableFile(
            f"folder {name} holds no table, and texts of one class only: got {shown(inner[0])}",
            "give each class of texts its own folder",
        )
    return UnreadableFile(
        f"folder {name} holds nothing to audit",
        "put tables in it, or texts in one folder per class: spam/ ham/",
    )


def require_apart(targets: Iterable[Path], sources: Iterable[str | Path], *, hint: str) -> None:
    """Refuse to write over a file that was read, under whatever name."""
    read = [Path(source) for source in sources if _exists(source)]
    for target in targets:
        if read and _exists(target) and any(_holds(source, target) for source in read):
            what = f"{shown(target.as_posix())} is what was read, and would be written over"
            raise WriteError(what, hint)


def files_meant(sources: Iterable[Any], target: str) -> Iterator[str]:
    """Yield the files that paths, globs and folders mean; frames and queries mean none."""
    for source in sources:
        paths = [source] if isinstance(source, str | Path) else source if isinstance(source, list) else ()
        if not paths or all(str(path) == STDIN for path in paths):
            continue
        found = find(paths, target)
        yield from (*found.tables, *(path for text_class in found.classes for path in text_class.files))


def given_files(source: Any) -> list[str]:
    """Return the files of this machine that a source names, as far as that can be seen without reading."""
    paths = [source] if isinstance(source, str | Path) else source if isinstance(source, list | tuple) else []
    try:
        return [file for path in paths if isinstance(path, str | Path) for file in _plain_files(str(path))]
    except (OSError, ValueError):
        return []


def _plain_files(path: str) -> list[str]:
    if os.path.isdir(path):  # noqa: PTH112 - a path that is too long is no folder
        return list(_files_below(path))
    return glob.glob(path, recursive=True) if glob.has_magic(path) and not _exists(path) else [path]  # noqa: PTH207


def file_size(path: str) -> int:
    """Return the bytes of a file; 0 where there is none."""
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return 0


def files_read(record: Any) -> list[str]:
    """Return the files that a provenance names: of the training and of the test rows."""
    origins: Iterable[Mapping[str, Any]] = (*record.origins, *getattr(record, "test_origins", ()))
    return [str(origin["path"]) for origin in origins]


def _holds(source: Path, target: Path) -> bool:
    """Whether `target` is the file, or in the folder."""
    if source.is_dir():
        return source.resolve() in target.resolve().parents
    return source.samefile(target)

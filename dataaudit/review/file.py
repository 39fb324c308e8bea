"""The file of decisions: written whole after every one, so that whenever the machine stops, all are there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dataaudit.errors import DataError, WriteError
from dataaudit.escape import shown
from dataaudit.repair.decisions import Decision, Decisions, read_decisions, write_decisions
from dataaudit.review.queue import Queue

NAME = "decisions.jsonl"


class SavedDecisions:
    """The decisions of one run in a file."""

    def __init__(self, path: Path, queue: Queue) -> None:
        self.path = path
        self._run_id = queue.run_id
        self._seen = _stamp(path)
        self.decisions: tuple[Decision, ...] = _read(path, queue) if self._seen else ()
        folder = path.absolute().parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            what = f"decisions cannot be kept in {shown(folder.as_posix())}"
            raise WriteError(what, "name a file that you may write with --decisions")

    def write(self, decisions: Sequence[Decision]) -> None:
        """Write all decisions, in the order in which they were made."""
        if _stamp(self.path) != self._seen:
            what = (
                f"{shown(self.path.as_posix())} was changed by another program; your last key was not saved"
            )
            raise DataError(what, "start audit review again to go on from what it holds now")
        write_decisions(self.path, Decisions(tuple(decisions), self._run_id))
        self._seen, self.decisions = _stamp(self.path), tuple(decisions)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what distinguishes two states of a file; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path, queue: Queue) -> tuple[Decision, ...]:
    read = read_decisions(path, may_be_empty=True)
    name = shown(path.as_posix())
    if read.run_id and read.run_id != queue.run_id:
        what = f"{name} is of run {shown(read.run_id)}, these findings are of run {queue.run_id}"
        raise DataError(what, "move it away, or name another file with --decisions")
    other = next((row.row_id for row in read.rows if row.row_id not in queue.places), None)
    if other is not None:
        what = f"{name} decides row {shown(other)!r}, which is not in these findings"
        raise DataError(what, "name another file with --decisions")
    return read.rows

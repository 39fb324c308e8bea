"""What a long run has come to, stage by stage, in a folder: one that was killed is gone on with.

Until they are whole the folder of the findings holds ``.unfinished/KEY`` with a file a stage. KEY is a hash
of all that a stage rests on: the data, the settings, this package and the libraries that compute. So what is
found there is what this run would come to, to the last bit.

Small runs pay nothing: what stages came to is written once `EVERY` seconds have passed since the last time,
and as long as all of that took less than `SHARE` of the run. A run that is to be resumed keeps every stage,
if that takes no longer than `GRACE`. A file is there whole or not at all. That it cannot be written ends the
keeping, not the run.

One run at a time works towards a folder: it locks ``.unfinished`` for as long as its process lives.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from threading import RLock
from typing import IO, Any, Final, TypeVar

import polars as pl

from dataaudit.data.dataset import Dataset
from dataaudit.data.scratch import lock
from dataaudit.errors import SettingError, WriteError
from dataaudit.escape import shown
from dataaudit.files import replace_soon
from dataaudit.options import Checkpoint, StepCallback, TrainingOptions, is_module

FOLDER: Final = ".unfinished"
EVERY: Final = 2.0  # seconds
SHARE: Final = 0.01  # of the time of a run
GRACE: Final = 5.0  # seconds
_RUN, _LOCK, _STAGE = "run.json", "lock", ".stage"
_LIBRARIES: Final = ("dataaudit", "numpy", "polars", "scipy", "torch")

Asked = TypeVar("Asked", bound=TrainingOptions)


@contextmanager
def keeping(options: Asked, *datasets: Dataset) -> Iterator[Asked]:
    """Give the options of a run whose stages are kept, if it has a folder."""
    folder = options.checkpoint
    network = is_module(options.model)
    if folder is None or not (network or isinstance(options.model, str)):
        if options.resume:
            what, hint = ("needs the folder of the run: got none", "name it by checkpoint=")
            if folder is not None:
                what, hint = ("is for models that are trained here", "leave it out")
            raise SettingError(f"resume {what}", hint)
        yield options
        return
    data = [origin.sha256 for dataset in datasets for origin in dataset.origins]
    on_disk = [not isinstance(dataset.frame, pl.DataFrame) for dataset in datasets]
    settings = options.to_dict() | {"on disk": on_disk}
    if network:
        from dataaudit.model.torch import digest_of  # noqa: PLC0415 - few models are networks

        settings["network"] = digest_of(options.model)
    settings.pop("memory", None)  # whoever ran out of it gives more, and goes on
    run = _Run(data, settings)
    kept = Unfinished(Path(folder), run, resume=options.resume, step=options.step)
    try:
        yield options.keeping(kept)
    except KeyboardInterrupt:
        if time.monotonic() - kept.began >= kept.every:
            kept.flush()
        raise
    finally:
        kept.close()


def finish(out: Path) -> None:
    """Remove what was kept on the way to findings that are whole, unless another run is at work on it."""
    folder = out / FOLDER
    if folder.is_dir():
        lock = _Lock(folder)
        if lock.take():
            shutil.rmtree(folder, ignore_errors=True)
        lock.give_back()


@dataclass(frozen=True)
class _Run:
    """What all stages of a run rest on."""

    data: Sequence[str]
    settings: Mapping[str, Any]

    @cached_property
    def text(self) -> str:
        """It and the versions of libraries as JSON."""
        whole = {
            "data": self.data,
            "settings": self.settings,
            "libraries": {name: version(name) for name in _LIBRARIES},
        }
        return json.dumps(whole, sort_keys=True, default=str)

    @cached_property
    def key(self) -> str:
        """The hash of it all."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def differs(self, before: str) -> str:
        """Say how it is not a run that was stopped; empty where it is."""
        then, now = json.loads(before), json.loads(self.text)
        if then["data"] != now["data"]:
            return "the data are not those of the run that was stopped"
        if names := _differing(then["settings"], now["settings"]):
            return f"settings differ from those of the run that was stopped ({', '.join(names)})"
        if names := _differing(then["libraries"], now["libraries"]):
            return f"the run that was stopped had another version of {', '.join(names)}"
        return ""


class Unfinished(Checkpoint):
    """The stages of one run, in a folder."""

    def __init__(self, out: Path, run: _Run, *, resume: bool, step: StepCallback) -> None:
        self.out, self.root, self.run, self.step = out, out / FOLDER, run, step
        self.lock, self.guard = _Lock(self.root), RLock()
        self.every, self.grace = (0.0, GRACE) if resume else (EVERY, 0.0)
        self.pending: dict[str, Any] = {}
        self.resumed: set[str] = set()
        self.ready, self.ends, self.spent = False, False, 0.0
        there = self.root.is_dir()
        if there and not self.lock.take():
            raise WriteError(self.lock.held(), "wait for it, end it, or name another folder with --out")
        known = there and any(self.home.glob(f"*{_STAGE}"))
        self.goes_on = resume and known
        if resume and not known:
            self._say(f"{self._why_anew()}: the run starts from the beginning")
        elif known and not resume:
            self._say("an earlier run like this was stopped: --resume goes on with what it came to")
        self.began = self.last = time.monotonic()

    @property
    def home(self) -> Path:
        """The folder of the stages."""
        return self.root / self.run.key

    def get(self, stage: str) -> Any:
        """Return what a stage came to in the run that is gone on with, or None."""
        path = self._path(stage)
        if not (self.goes_on and path.is_file()):
            return None
        label = stage.partition(":")[0]
        from dataaudit.checkpoint.snapshot import read_snapshot  # noqa: PLC0415 - torch takes a second

        try:
            value = read_snapshot(path, stage)
        except (OSError, ValueError) as error:
            self._say(f"what was kept of {label} is damaged, and made anew: {error}")
            return None
        with self.guard:
            if label not in self.resumed:
                self.resumed.add(label)
                self._say(f"resumed: {label}")
        return value

    def put(self, stage: str, value: Any) -> None:
        """Keep what a stage came to, or how far it is."""
        with self.guard:
            if self.ends:
                return
            self.pending[stage] = value
            now = time.monotonic()
            if now - self.last >= self.every and self.spent <= self.grace + SHARE * (now - self.began):
                self.flush()

    def folder(self) -> Path | None:
        """Return a folder for files that a run goes on with, or None where none can be made."""
        with self.guard:
            try:
                self._make_room()
            except OSError as error:
                self._end(f"{error.strerror or error}")
        return None if self.ends else self.home

    def flush(self) -> None:
        """Write what waits for it."""
        from dataaudit.checkpoint.snapshot import write_snapshot  # noqa: PLC0415 - torch takes a second

        with self.guard:
            began = time.monotonic()
            try:
                while self.pending:
                    self._make_room()
                    stage, value = next(iter(self.pending.items()))
                    replace_soon(self._path(stage), partial(write_snapshot, name=stage, value=value))
                    del self.pending[stage]
            except OSError as error:
                self._end(f"{error.strerror or error}")
            self.last = time.monotonic()
            self.spent += self.last - began

    def close(self) -> None:
        """Let others work towards the folder."""
        with self.guard:
            self.ends = True
            self.pending.clear()
            self.lock.give_back()

    def _path(self, stage: str) -> Path:
        return self.home / f"{hashlib.sha256(stage.encode()).hexdigest()[:16]}{_STAGE}"

    def _make_room(self) -> None:
        """Make the folder, and leave in it what the last of other runs came to."""
        if self.ready:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        if not self.lock.take():
            raise OSError(None, self.lock.held())
        others = (path for path in _runs(self.root) if path.parent != self.home)
        for path in list(others)[:-1]:
            shutil.rmtree(path.parent, ignore_errors=True)
        self.home.mkdir(exist_ok=True)
        replace_soon(self.home / _RUN, lambda path: path.write_text(self.run.text, encoding="utf-8"))
        self.ready = True

    def _end(self, reason: str) -> None:
        """Keep nothing more: the run itself goes on."""
        self.ends = True
        self.pending.clear()
        self._say(f"the run goes on, but could not be resumed from here: {reason}")

    def _say(self, sentence: str) -> None:
        self.step(sentence, 1, 1)

    def _why_anew(self) -> str:
        """Say why there is nothing to go on with."""
        try:
            if different := self.run.differs(_runs(self.root)[-1].read_text(encoding="utf-8")):
                return different
        except (OSError, ValueError, LookupError, TypeError, AttributeError):  # no such run, or damaged
            pass
        return f"there is nothing to resume in {shown(self.out.as_posix())}"


def _runs(folder: Path) -> list[Path]:
    """Return what the runs of a folder rest on, the latest last."""
    return sorted(folder.glob(f"*/{_RUN}"), key=lambda path: path.stat().st_mtime_ns)


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the names of what is not the same, those of nested settings too."""
    names = []
    for name in sorted(before.keys() | now.keys()):
        one, other = before.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            names += _differing(one, other)
        elif one != other:
            names.append(name)
    return list(dict.fromkeys(names))


class _Lock:
    """A file that one process at a time has: it is free again when that ends, however it does."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _LOCK
        self.file: IO[str] | None = None

    def take(self) -> bool:
        """Take it unless another has it; where there are no locks nobody has."""
        if self.file is not None:
            return True
        try:
            file = self.path.open("a+", encoding="utf-8")
        except OSError:
            return True
        try:
            lock(file)
        except (BlockingIOError, PermissionError):
            file.close()
            return False
        except OSError:
            pass
        file.truncate(0)
        file.write(f"{os.getpid()}")
        file.flush()
        self.file = file
        return True

    def give_back(self) -> None:
        """Let others take it."""
        if self.file is not None:
            self.file.close()
            self.file = None

    def held(self) -> str:
        """Say who has it."""
        try:
            number = f" (process {int(self.path.read_text(encoding='utf-8'))})"
        except (OSError, ValueError):
            number = ""
        return f"another run{number} is at work on {shown(self.path.parent.parent.as_posix())}"

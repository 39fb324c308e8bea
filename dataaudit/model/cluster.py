"""Sums over shards on a cluster of Dask: functions and labels travel, features are made where they stay.

A shard is a path with numbers of row groups; its features are the result of a task. Dask keeps the results
that somebody still asks for in the memory of the workers, moves them to their disks where that is short, runs
the tasks that need them where they are, and makes them anew where a worker was lost. So a pass over the rows
sends one function, θ in it, and gets one sum back. That is a tree of at most two levels in the order of the
shards (`rows.bundled`): the same bits whatever the workers, each of which adds with one thread, of numbers
that begin at the same places of a cache line.

Tensors of which most numbers are zero travel as positions and values.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import pickle
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from dataaudit.errors import AuditError, ClusterError, SettingError, UnreadableFile
from dataaudit.model.device import CPU, placed, require_device
from dataaudit.model.rows import Function, Part, Shard, added, bundled

if TYPE_CHECKING:
    from distributed import Client, Future

Labels = tuple[NDArray[np.int64], NDArray[np.float64], int]  # with the number of features
# A position and a value take less than the numbers where fewer than this share of these differ from zero.
SPARSE: Final = 0.5
# Up to so many bytes a function travels with each task; a larger one goes to each worker once.
SMALL: Final = 2**16
ALIGNED: Final = 64  # bytes
SECONDS: Final = 5  # in which a scheduler answers
END: Final = 2**20  # bytes of a file by which it is known: the footer of Parquet says what lies where
LEAST: Final = 2**29  # bytes of a worker: half of them are Python and libraries
_SCHEDULER: Final = "the scheduler"


class _Pickler(pickle.Pickler):
    """Tensors as arrays, or as what in them differs from zero."""

    def reducer_override(self, value: Any) -> Any:
        """Return how a tensor is made again."""
        if not isinstance(value, Tensor):
            return NotImplemented
        numbers = value.detach().cpu().numpy()
        if np.count_nonzero(numbers) >= SPARSE * numbers.size:
            return _aligned, (np.ascontiguousarray(numbers),)
        at = np.flatnonzero(numbers)
        few = np.int32 if numbers.size < 2**31 else np.int64
        return _filled, (numbers.shape, at.astype(few), numbers.reshape(-1)[at])


def _aligned(numbers: NDArray[Any]) -> Tensor:
    """Return a tensor that begins where one of torch's own would: where it begins decides the last bits."""
    made = torch.from_numpy(numbers)
    return made if made.data_ptr() % ALIGNED == 0 else made.clone()


def _filled(shape: tuple[int, ...], at: NDArray[Any], values: NDArray[Any]) -> Tensor:
    full = torch.zeros(shape, dtype=torch.from_numpy(values).dtype)
    full.view(-1)[torch.from_numpy(at).long()] = torch.from_numpy(values)
    return full


def packed(value: Any) -> bytes:
    """Return what travels."""
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()


@lru_cache(maxsize=2)  # the function of a pass is that of many tasks, the shards of a table that of the first
def _unpacked(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301 - from our own client, whom a worker trusts with any code


@dataclass
class _Features:
    """A shard as a worker keeps it: Dask must know what it takes."""

    X: NDArray[np.float64] | csr_array

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.X.shape[0])

    def features(self) -> Tensor | csr_array:
        """Return the features."""
        if not isinstance(self.X, np.ndarray):
            return self.X
        X = _aligned(self.X)
        self.X = X.numpy()  # for the next time
        return X

    def take(self, rows: NDArray[np.int64]) -> Tensor | csr_array:
        """Return those of some rows."""
        X = self.X[rows]
        return torch.from_numpy(X) if isinstance(X, np.ndarray) else X

    def __sizeof__(self) -> int:
        X = self.X
        return X.nbytes if isinstance(X, np.ndarray) else X.data.nbytes + X.indices.nbytes + X.indptr.nbytes


def _made(shards: bytes, at: int) -> _Features:
    """Make the features of a shard, on a worker."""
    from distributed import get_worker  # noqa: PLC0415 - an extra

    _alone()
    try:
        X = _unpacked(shards)[at].features()
    except (OSError, AuditError) as error:
        what, hint = (error.what, error.hint) if isinstance(error, AuditError) else (str(error), "")
        raise UnreadableFile(
            f"worker {get_worker().address} cannot read its rows: {what}",
            hint or "workers read the same paths as this machine: put the files where they see them",
        ) from error
    if not isinstance(X, Tensor):
        return _Features(X)
    return _Features(torch.cat([X, X.new_ones(len(X), 1)], dim=1).numpy())  # as `Block.dense` wants it


def _applied(features: _Features, labels: Labels, function: bytes, device: str) -> bytes:
    """Apply a function to a shard, on a worker."""
    _alone()
    y, weight, width = labels
    part = Part(features, _aligned(y), _aligned(weight), width)
    return packed(placed(_unpacked(function), require_device(device))(part.block()))


def _taken(features: _Features, rows: NDArray[np.int64]) -> bytes:
    """Choose rows of a shard, on a worker."""
    return packed(features.take(rows))


def _added(parts: Sequence[bytes]) -> bytes:
    """Add results, on a worker."""
    return packed(added(map(pickle.loads, parts)))


def _marks(paths: Sequence[str]) -> dict[str, str]:
    """Return by what files are known to be the same: sizes, and hashes of the ends, where footers are."""
    return {path: _mark(path) for path in paths}


def _mark(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - END))
            return f"{size:,} bytes with hash {hashlib.sha256(file.read()).hexdigest()[:12]}"
    except OSError as error:
        return error.strerror or "it cannot be read"


def _alone() -> None:
    """Let a worker's task take one thread: sums then have one order, and tasks do not wait for each other."""
    torch.set_num_threads(1)  # of this thread
    _limited()


@cache
def _limited() -> threadpool_limits:
    return threadpool_limits(1)


@dataclass(frozen=True)
class Cluster:
    """The engine of shards that runs on the workers of a client."""

    client: Client
    device: str = CPU
    _features: WeakIdKeyDictionary = field(default_factory=WeakIdKeyDictionary, init=False)
    _labels: WeakIdKeyDictionary = field(default_factory=WeakIdKeyDictionary, init=False)

    def map(self, function: Function, parts: Sequence[Part]) -> Iterator[Tensor]:
        """Yield one result a shard."""
        return self._gathered(self._apply(function, parts))

    def sum(self, contribution: Function, parts: Sequence[Part]) -> Tensor:
        """Return the sum over shards."""
        bundles = bundled(self._apply(contribution, parts))
        sums = self.client.map(_added, list(map(list, bundles)), pure=False)
        return added(self._gathered(sums))

    def take(
        self, shards: Sequence[Shard], rows: Sequence[NDArray[np.int64]]
    ) -> Iterator[Tensor | csr_array]:
        """Yield the features of some rows of each shard."""
        return self._gathered(self.client.map(_taken, self._features_of(shards), rows, pure=False))

    def require_files(self, paths: Sequence[str]) -> None:
        """Refuse workers that do not see the same files as this process."""
        here = _marks(paths)
        for worker, there in self.client.run(_marks, paths).items():
            for path in paths:
                if there[path] != here[path]:
                    differs = f"worker {worker} sees another {path}: {there[path]}, here {here[path]}"
                    raise ClusterError(differs, "give workers the same files under the same paths")

    def _gathered(self, futures: Sequence[Future]) -> Iterator[Any]:
        """Yield results, not all of which come at once."""
        for some in bundled(futures):
            yield from map(pickle.loads, self.client.gather(list(some)))

    def _apply(self, function: Function, parts: Sequence[Part]) -> list[Future]:
        """Start a function on every shard."""
        data = packed(function)
        sent = data if len(data) <= SMALL else self.client.submit(bytes, data, pure=False)
        of = self._features_of([part.shard for part in parts]), self._labels_of(parts)
        started: list[Future] = self.client.map(
            _applied, *of, [sent] * len(parts), [self.device] * len(parts), pure=False
        )
        return started

    def _features_of(self, shards: Sequence[Shard]) -> list[Future]:
        """Return the features of shards, which are kept as long as the shards are."""
        if new := [shard for shard in shards if shard not in self._features]:
            sent = [self.client.submit(bytes, packed(new), pure=False)] * len(new)
            _remember(self._features, new, self.client.map(_made, sent, range(len(new)), pure=False))
        return [self._features[shard] for shard in shards]

    def _labels_of(self, parts: Sequence[Part]) -> list[Future]:
        """Return the labels and weights of parts, which are kept as long as the parts are."""
        if new := [part for part in parts if part not in self._labels]:
            sent = [pickle.dumps((part.y.numpy(), part.weight.numpy(), part.width)) for part in new]
            _remember(self._labels, new, self.client.map(pickle.loads, sent, pure=False))
        return [self._labels[part] for part in parts]


def _remember(known: WeakIdKeyDictionary, keys: Sequence[Any], futures: Sequence[Future]) -> None:
    for key, future in zip(keys, futures, strict=True):
        known[key] = future


@contextmanager
def connected(
    scheduler: str | None = None, *, workers: int | None = None, client: Any = None, memory: int = 2**63
) -> Iterator[Cluster]:
    """Give the engine of a cluster: at an address, of workers started here, or of a client.

    `memory` is what workers that are started here may take together.
    """
    try:
        import dask  # noqa: PLC0415 - an extra
        import distributed  # noqa: PLC0415 - the same
    except ImportError as error:
        hint = "pip install distributed"
        raise SettingError("a cluster needs the package distributed, which is not installed", hint) from error
    with ExitStack() as stack:
        large = {"distributed.admin.large-graph-warning-threshold": "1TiB"}  # labels are sent once
        stack.enter_context(dask.config.set(large))
        if client is None:
            quiet = distributed.utils.silence_logging_cmgr(logging.CRITICAL, root="distributed")
            stack.enter_context(quiet)
            at = scheduler or _started(workers or 1, memory, stack)
            client = stack.enter_context(_client(at))
        _require_same(client)
        address = client.scheduler.address  # which a client forgets with its scheduler
        try:
            yield Cluster(client)
        except distributed.KilledWorker as error:
            what = f"{error.allowed_failures + 1} workers died, one after the other, over the same rows"
            raise ClusterError(what, "give workers more memory, or write smaller row groups") from error
        except (CancelledError, OSError, distributed.client.ClosedClientError) as error:
            if isinstance(error, OSError) and client.status == "running":
                raise  # of a file
            what = f"the scheduler at {address} does not answer any more"
            raise ClusterError(what, "start it again; --resume goes on where this run stopped") from error


def _client(at: Any) -> Any:
    """Return a client of a cluster, or of the scheduler at an address."""
    from distributed import Client  # noqa: PLC0415 - an extra

    try:
        return Client(at, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        what = f"no Dask scheduler answers at {at} within {SECONDS} seconds"
        raise ClusterError(what, "check the address, such as tcp://host:8786") from error


def _started(workers: int, memory: int, stack: ExitStack) -> Any:
    """Start workers here, which end with the stack."""
    from distributed import LocalCluster  # noqa: PLC0415 - an extra

    if memory < workers * LEAST:
        what = (
            f"{workers} workers need {workers * LEAST / 2**30:.1f} GiB: {memory / 2**30:.1f} GiB may be used"
        )
        raise SettingError(what, "use fewer --workers, or more --memory")
    scratch = stack.enter_context(TemporaryDirectory(prefix="audit-workers-", ignore_cleanup_errors=True))
    return stack.enter_context(
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=memory // workers,
            local_directory=scratch,
            dashboard_address="127.0.0.1:0",  # its port is opened even where it is not asked for
            silence_logs=logging.CRITICAL,
            preload=[__name__],
        )
    )


def dask_setup(_worker: object) -> None:
    """Leave Ctrl-C to the process that started this worker: Dask calls this by its name, before any task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _require_same(client: Any) -> None:
    """Refuse a scheduler and workers with another version of this package: they read shards otherwise."""
    own = version("dataaudit")
    try:
        found = {_SCHEDULER: client.run_on_scheduler(version, "dataaudit")}
    except PackageNotFoundError as error:
        found = {_SCHEDULER: error}
    workers = client.run(version, "dataaudit", on_error="return")
    found |= {f"worker {address}": there for address, there in workers.items()}
    for who, there in found.items():
        if isinstance(there, PackageNotFoundError) or (isinstance(there, str) and there != own):
            has = f"dataaudit {there}" if isinstance(there, str) else "no dataaudit"
            raise ClusterError(f"{who} has {has}, this machine {own}", f"install dataaudit=={own} there")
    if not any(isinstance(there, str) for there in workers.values()):  # the others have just left
        at = client.scheduler.address
        raise ClusterError(f"the scheduler at {at} has no worker", f"start one: dask worker {at}")

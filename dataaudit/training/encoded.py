"""Training rows read, labelled and encoded.

Nothing here needs torch: Polars reads and encodes while another thread imports it, and what is wrong with a
file or a column is reported before that import is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from dataaudit.cells import normal_form
from dataaudit.data.dataset import Dataset, Dialect
from dataaudit.data.load import load
from dataaudit.data.paths import file_size, given_files
from dataaudit.errors import MissingColumn, SettingError
from dataaudit.features import Columns, Encoding, Role, fit_encoding
from dataaudit.features.leaks import Restated, restated
from dataaudit.features.roles import RESTATES, infer_roles
from dataaudit.features.target import Reading, Target, encode_target, encode_weight
from dataaudit.findings.schemas import GROUPS
from dataaudit.memory import SEARCHED, memory_limit
from dataaudit.options import GROUP_HINT, LabelOptions, StepCallback, TrainingOptions, ignore_progress
from dataaudit.training.checks import Check, check_rows, may_group

if TYPE_CHECKING:
    from dataaudit.data.scratch import Scratch
    from dataaudit.influence.groups import Groups

SAMPLE_WEIGHT: Final = "sample_weight"  # weights that came as an array
SMALL: Final = 200  # a table is small if the memory that may be used is so many times its files
ON_DISK: Final = (
    "The table stayed on disk, as it needs more memory than may be used: columns and rows were read in turn."
)
_ODD: Final = 0x2545F4914F6CDD1D  # by which one of two numbers is multiplied before they are added
_COMPARED: Final = 4096  # bytes that a row takes which is compared with others
FORMED: Final = 1 << 16  # rows whose normal forms are made at a time


@dataclass(frozen=True)
class Training:
    """Labelled rows, encoded."""

    dataset: Dataset  # the n rows, label column included
    target: Target
    encoding: Encoding  # learned statistics and roles of the columns
    columns: Columns
    weight: NDArray[np.float64]  # (n,) weights of the rows in the objective
    notes: tuple[str, ...] = ()  # what was decided about the weights and the groups
    groups: Groups | None = None  # None where every row leaves alone
    checks: tuple[Check, ...] = ()  # of the rows

    @property
    def nbytes(self) -> int:
        """Bytes of the rows, as cells and as features, where they are in memory."""
        if not isinstance(self.columns, Columns):
            return 0
        return int(self.dataset.frame.estimated_size()) + self.columns.nbytes


def read_labelled(
    source: Any,
    settings: TrainingOptions,
    *,
    scratch: Scratch | None = None,  # where a table that is too large for memory may go; None if it may not
    on_step: StepCallback = ignore_progress,
) -> tuple[Dataset, Target]:
    """Read the rows that have a label."""
    on_step("read", 0, 1)
    columns = settings.columns
    used = filter(None, (settings.weight, settings.group, *settings.by))  # read, features or not
    named = tuple(dict.fromkeys((*columns.features, *columns.text, *columns.categorical, *used)))
    wanted: dict[str, Any] = {
        "target": settings.label,
        "columns": named if columns.features else None,
        "exclude": tuple(one for one in columns.exclude if one not in (settings.group, *settings.by)),
        "id_column": settings.id,
        "named": named,
        "dialect": Dialect(settings.encoding, settings.no_header),
    }
    dataset = on_disk(source, wanted, scratch=scratch, settings=settings) or load(source, **wanted)
    dataset = with_weights(dataset, settings)
    for column in (settings.group, *settings.by):
        if column and column not in (*dataset.frame.columns, settings.id):
            raise MissingColumn(column, dataset.frame.columns, "the data")
    if isinstance(settings, LabelOptions):
        dataset = _as_asked(dataset, settings)
    target = encode_target(dataset.frame[settings.label], settings.task)
    dataset = dataset if target.kept.all() else dataset.keep(target.kept)
    if settings.by:
        from dataaudit.features.levels import require_levels  # noqa: PLC0415 - few audits count by columns

        require_levels(dataset.frame, settings.by, settings)
    on_step("read", 1, 1)
    return dataset, target


def on_disk(
    source: Any,
    wanted: Mapping[str, Any],
    *,
    scratch: Scratch | None,
    settings: TrainingOptions,
    share: float = 1.0,  # of the memory that may be used, for these rows
) -> Dataset | None:
    """Return a table that does not fit in memory, on disk; None where it does, as most do."""
    sizes = sum(map(file_size, given_files(source))) if scratch is not None else 0
    if scratch is None or (scratch.engine is None and sizes * SMALL <= share * memory_limit()):
        return None
    import dataaudit.solvers  # noqa: F401, PLC0415 - before its modules: another thread imports them as well
    from dataaudit.training.streamed import read_scanned  # noqa: PLC0415 - few tables are so large

    searched = 0 if isinstance(settings, LabelOptions) else SEARCHED
    plain = settings.basis == "linear"
    dataset = read_scanned(source, wanted, scratch, plain=plain, searched=searched, share=share)
    if dataset is not None and settings.model != "logistic":
        what = f"{settings.model} takes all rows in memory, where these do not fit"
        raise SettingError(what, "use logistic, the default, or give more with --memory")
    return dataset


def engine_for(settings: LabelOptions) -> AbstractContextManager[Any]:
    """Give who passes over the rows where that is not this process, else None."""
    if not settings.spread:
        return nullcontext()
    from dataaudit.model.cluster import connected  # noqa: PLC0415 - few runs have workers

    return connected(
        settings.scheduler, workers=settings.workers, client=settings.client, memory=memory_limit() // 2
    )


def _as_asked(dataset: Dataset, settings: LabelOptions) -> Dataset:
    """Return the rows with labels folded, and without those that stand for none, as asked."""
    if not (settings.fold_labels or settings.no_label):
        return dataset
    labels = dataset.frame[dataset.target]
    read, notes = Reading.of(labels, fold=settings.fold_labels, none=settings.no_label).read(labels)
    return replace(dataset, frame=dataset.frame.with_columns(read), notes=(*dataset.notes, *notes))


def encode_training(
    dataset: Dataset, target: Target, settings: TrainingOptions, *, on_step: StepCallback = ignore_progress
) -> Training:
    """Encode the columns of labelled rows."""
    on_step("encode", 0, 1)
    scanned = list[Columns]()  # which leave blocks on disk, and are not kept
    encode = partial(_encode, dataset, target, settings, scanned)
    encoding, columns, *others = settings.kept.once("encode", encode)
    columns = columns or (scanned or [_columns(weighted(dataset, settings)[0], encoding)])[0]
    on_step("encode", 1, 1)
    return Training(dataset, target, encoding, columns, *others)


def _bins(target: Target) -> NDArray[np.int64]:
    """Return the classes of the rows, or bins of their numbers."""
    if target.quantity is None:
        return target.y
    from dataaudit.features.target import binned  # noqa: PLC0415 - most labels are classes

    return binned(target.quantity.values)


def _columns(frame: pl.DataFrame, encoding: Encoding) -> Columns:
    """Encode the rows of a frame, those on disk when they are asked for."""
    if isinstance(frame, pl.DataFrame):
        return encoding.transform(frame)
    from dataaudit.features.scanned import ScannedColumns  # noqa: PLC0415 - few tables are so large

    # It answers what is asked of encoded columns, but for the matrices themselves.
    return cast("Columns", ScannedColumns(frame, encoding))


def _encode(
    dataset: Dataset, target: Target, settings: TrainingOptions, scanned: list[Columns]
) -> tuple[Any, ...]:
    """Return the fields of `Training` but for the rows; columns of a table on disk are put in `scanned`."""
    frame, weight, notes = weighted(dataset, settings)
    roles = _roles(frame, dataset.unshared, settings)
    judged = isinstance(settings, LabelOptions)
    found = restated(frame, _bins(target), roles, label=settings.label) if judged else ()
    roles = _without(roles, found, kept=settings.features)
    encoding = fit_encoding(frame, settings.label, settings=settings.columns, decided=roles)
    columns = _columns(frame, encoding)
    groups, said = _groups(frame, target.y, columns, roles=encoding.roles, settings=settings)
    notes += said
    kept = columns if isinstance(columns, Columns) else None
    scanned += () if kept else (columns,)
    notes += () if kept else (ON_DISK,)
    if not isinstance(settings, LabelOptions):
        return encoding, kept, weight, notes, groups
    checks = check_rows(frame, target, encoding.roles, found=found, groups=groups, settings=settings)
    if not settings.group and all(ok for name, _, _, ok, _ in checks if name == GROUPS):
        notes += _hint(frame, encoding)
    return encoding, kept, weight, notes, groups, checks


def _roles(frame: pl.DataFrame, unshared: Mapping[str, str], settings: TrainingOptions) -> tuple[Role, ...]:
    """Decide what every column is used as; what only one side of a pair has is left out."""
    asked = settings.columns.without(unshared)
    roles = infer_roles(frame.drop(unshared, strict=False), settings.label, settings=asked)
    alone = [Role(name, "left out", reason) for name, reason in unshared.items() if name in frame.columns]
    return (*roles, *alone)


def _without(roles: tuple[Role, ...], found: Sequence[Restated], kept: Sequence[str]) -> tuple[Role, ...]:
    """Return the roles without columns that restate the label, unless they are asked for, or all there is."""
    gone = {one.column: f"{RESTATES}: {one.reason}" for one in found if one.sure and one.column not in kept}
    if all(role.role == "left out" or role.column in gone for role in roles):
        return roles
    return tuple(Role(r.column, "left out", gone[r.column]) if r.column in gone else r for r in roles)


def _groups(
    frame: pl.DataFrame,
    y: NDArray[np.int64],
    columns: Columns,
    *,
    roles: tuple[Role, ...],
    settings: TrainingOptions,
) -> tuple[Groups | None, tuple[str, ...]]:
    """Return which rows leave together in an audit of labels, and notes; None if each leaves alone."""
    if not isinstance(settings, LabelOptions):
        return None, ()
    forms, groups, notes = _text_forms(frame, roles), None, tuple[str, ...]()
    maybe = np.flatnonzero(_repeated(_projected(columns)) | _repeated(forms))
    if not isinstance(columns, Columns) and _COMPARED * len(maybe) > memory_limit():
        notes = (f"Copies were not looked for: {len(maybe):,} rows may be copies, too many to compare them.",)
        maybe = maybe[:0]
    if len(maybe) or settings.group:
        from dataaudit.training import copies  # noqa: PLC0415 - most tables have no copies

        if len(maybe):
            groups = copies.find_groups(frame, y, columns=columns, roles=roles, forms=forms, maybe=maybe)
        if settings.group:
            groups = copies.with_named(groups, frame, y=y, column=settings.group)
            return groups, (*notes, *groups.notes)
    return (groups, (*notes, *groups.notes)) if groups and (groups.copy >= 0).any() else (None, notes)


def _hint(frame: pl.DataFrame, encoding: Encoding) -> tuple[str, ...]:
    """Return a note on the first column that looks as if it named groups: many values, of a few rows each."""
    for role in encoding.roles:
        if may_group(role, frame):
            values = frame[role.column].drop_nulls()
            shown = f"{len(values):,} rows have {values.n_unique():,} values"
            said = f"Rows of one {role.column!r} {GROUP_HINT} ({shown}): "
            return (f"{said}name it with --group to leave those of one value out together.",)
    return ()


def _projected(columns: Columns) -> NDArray[np.int64]:
    """Return a number for each row, equal for rows that are encoded alike, and hardly ever for others."""
    along = np.concatenate([_along(part) for part in columns.blocks()])
    units = np.abs(along).max(axis=0, initial=1e-300) * 2.0**-40  # what products round is far below
    one, other = np.round(along / units).astype(np.int64).T
    return np.asarray(one * _ODD + other)


def _along(columns: Columns) -> NDArray[np.float64]:
    """Return the rows' products with two random directions: of one, some of many rows agree by chance."""
    random = np.random.default_rng(0)  # -> (n, 2)
    blocks = (columns.numeric, columns.vectors, columns.levels, columns.terms)
    parts = [block @ random.standard_normal((block.shape[1], 2)) for block in blocks if block.shape[1]]
    return np.asarray(np.sum(parts, axis=0)) if parts else np.zeros((columns.n, 2))


def adopted_groups(
    frame: pl.DataFrame, target: Target, X: Any, *, settings: TrainingOptions
) -> Groups | None:
    """Return which rows leave together by the features that a model of the user's own sees."""
    X = csr_array(X) if issparse(X) else X.numpy()
    nothing = np.empty((frame.height, 0))
    dense, sparse = (nothing, X) if issparse(X) else (X, csr_array(nothing))
    columns = Columns(dense, (), nothing, (), csr_array(nothing), (), sparse, ())
    own = {settings.label, settings.group}
    roles = tuple(Role(name, "numeric", "") for name in frame.columns if name not in own)
    return _groups(frame, target.y, columns, roles=roles, settings=settings)[0]


def _text_forms(frame: pl.DataFrame, roles: tuple[Role, ...]) -> NDArray[np.int64]:
    """Return a number for each row, equal where all its texts have one normal form; its own without texts."""
    texts = [role.column for role in roles if role.role == "text"]
    if not texts:
        return np.arange(frame.height)
    return np.concatenate([_form_hashes(part, texts) for part in frame.select(texts).iter_slices(FORMED)])


def _form_hashes(frame: pl.DataFrame, texts: Sequence[str]) -> NDArray[np.int64]:
    plain = pl.DataFrame({f"{at}": frame.get_column(name) for at, name in enumerate(texts)})
    forms = plain.select(normal_form(name, kind, text=True) for name, kind in plain.schema.items())
    return forms.hash_rows(seed=0).reinterpret(signed=True).to_numpy()


def _repeated(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    return pl.Series(numbers).is_duplicated().to_numpy()


def weighted(
    dataset: Dataset, settings: TrainingOptions
) -> tuple[pl.DataFrame, NDArray[np.float64], tuple[str, ...]]:
    """Return the frame without the weights and what is no feature, the weights, and a note on them."""
    frame = dataset.frame
    if settings.by:
        from dataaudit.features.levels import only_counted  # noqa: PLC0415 - few audits count by columns

        frame = frame.drop(name for name in only_counted(settings.by, settings) if name != settings.group)
    if not settings.weighs:
        return frame, np.ones(dataset.n), ()
    column = settings.weight or SAMPLE_WEIGHT
    if dataset.weight is None and column not in dataset.frame.columns:
        raise MissingColumn(column, dataset.frame.columns, "the data")
    weight = encode_weight(dataset.frame[column] if dataset.weight is None else dataset.weight)
    note = f"Rows weigh {column!r} in the fit and in influence; basis and λ were chosen without."
    return frame.drop(column, strict=False) if dataset.weight is None else frame, weight, (note,)


def with_weights(dataset: Dataset, settings: TrainingOptions, *, apart: bool = False) -> Dataset:
    """Return the rows with weights that came as an array, or with those of the column `apart` from it."""
    if settings.sample_weight is not None:
        try:
            weight = pl.Series(
                SAMPLE_WEIGHT, np.asarray(settings.sample_weight, dtype=np.float64).reshape(-1)
            )
        except (TypeError, ValueError) as error:
            raise SettingError(
                f"{SAMPLE_WEIGHT} holds no numbers: {error}", "give one for each row"
            ) from error
        if len(weight) != dataset.n:
            what = f"{SAMPLE_WEIGHT} has {len(weight):,} values, the training data have {dataset.n:,} rows"
            raise SettingError(what, "give one for each row, also where the label is missing")
        return replace(dataset, weight=weight)
    if not apart or settings.weight is None:
        return dataset
    if settings.weight not in dataset.frame.columns:
        raise MissingColumn(settings.weight, dataset.frame.columns, "the training data")
    weight = dataset.frame[settings.weight]
    return replace(dataset, frame=dataset.frame.drop(settings.weight), weight=weight)

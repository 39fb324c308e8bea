"""Training and test rows of one audit, from two sources or one that is split, and what a model predicts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.audits.conditions import columns_of
from dataaudit.audits.sides import is_training, match_sides, plain
from dataaudit.data.dataset import Dataset, Dialect
from dataaudit.data.load import load
from dataaudit.errors import DataError, MissingColumn, SettingError
from dataaudit.features import Columns, Encoding
from dataaudit.features.target import Quantity, Target, class_texts, encode_target, numbers_of, require_counts
from dataaudit.memory import TRAIN_SHARE
from dataaudit.model.rows import Block, ShardedRows, joined
from dataaudit.options import PairOptions
from dataaudit.training.encoded import on_disk, with_weights
from dataaudit.training.trained import Trained

if TYPE_CHECKING:
    from dataaudit.data.scratch import Scratch

Rows = NDArray[np.int64]
Room = tuple["Scratch | None", float]  # where rows may stay that take more than a share of the memory


@dataclass(frozen=True)
class Unjudged:
    """Test rows whose prediction is neither right nor wrong."""

    unlabelled: int = 0  # rows without a label
    strange: int = 0  # rows with a label that no training row has
    classes: tuple[str, ...] = ()  # the first of those labels


@dataclass(frozen=True)
class Pair:
    """What a model is trained on and what it meets."""

    train: Dataset  # n labelled rows
    target: Target  # their classes
    test: Dataset  # t rows with a label that training knows, or all of them where none has a label
    y: NDArray[Any] | None  # (t,) class numbers of the test rows, or numbers; None where they have no labels
    raw_test: pl.DataFrame  # all test rows as read, for what needs no label
    labelled: NDArray[np.int64]  # (t,) positions of the test rows among them
    notes: tuple[str, ...]  # decisions, in sentences
    raw_row: pl.Series  # numbers of all test rows in their files
    unjudged: Unjudged  # the other test rows


def read_pair(train: Any, test: Any, settings: PairOptions, *, scratch: Scratch | None = None) -> Pair:
    """Read the training and the test rows; those that do not fit in memory stay on disk, if they may."""
    known, new = read_sources(train, test, settings, scratch=scratch)
    target = encode_target(known.frame[settings.label], settings.task)
    if not target.kept.all():
        known = known.keep(target.kept)
    raw = new.frame
    y, labelled, notes, left = _labelled(raw[settings.label], target)
    mask = np.zeros(new.n, dtype=bool)
    mask[labelled] = True
    notes = (*target.notes, *notes)
    return Pair(known, target, new.keep(pl.Series(mask)), y, raw, labelled, notes, new.row, left)


def read_sources(
    train: Any, test: Any, settings: PairOptions, *, scratch: Scratch | None = None
) -> tuple[Dataset, Dataset]:
    """Read the training and the test rows as they are, with and without a label."""
    if test is None:
        whole = _load(train, settings, extra=(settings.split_column, settings.weight), room=(scratch, 1.0))
        return _split(with_weights(whole, settings, apart=True), settings)
    if settings.split_column is not None or settings.test_size is not None:
        raise SettingError("there are two sources and a way to split one", "give the test rows or a split")
    if isinstance(train, str) and isinstance(test, str) and train == test == "-":
        raise SettingError("training and test rows cannot both come from stdin", "give one as a file")
    known = _load(train, settings, extra=(settings.weight,), lenient=True, room=(scratch, TRAIN_SHARE))
    known, room = with_weights(known, settings, apart=True), (scratch, 1.0 - TRAIN_SHARE)
    new = _load_test(test, settings, known.frame.columns, room=room)
    if settings.weight is not None:  # of training rows: test rows count alike
        new = replace(new, frame=new.frame.drop(settings.weight, strict=False))
    return match_sides(known, new, settings)


def _load(
    source: Any,
    settings: PairOptions,
    *,
    extra: tuple[str | None, ...] = (),
    lenient: bool = False,
    labels: bool = True,
    room: Room = (None, 1.0),
) -> Dataset:
    columns = settings.columns
    asked = filter(None, settings.conditions)
    also = [name for one in asked for name in columns_of(one) if name not in (settings.label, settings.id)]
    own = (*columns.features, *columns.text, *columns.categorical, *filter(None, extra))
    named = tuple(dict.fromkeys(own))
    wanted: dict[str, Any] = {
        "target": settings.label if labels else "",
        "columns": (*named, *also) if columns.features else None,
        "exclude": tuple(name for name in columns.exclude if name not in also),
        "id_column": settings.id,
        "named": (*named, *also),
        "dialect": Dialect(settings.encoding, settings.no_header),
        "lenient": lenient,
    }
    scratch, share = room
    return on_disk(source, wanted, scratch=scratch, settings=settings, share=share) or load(source, **wanted)


def _load_test(source: Any, settings: PairOptions, known: list[str], *, room: Room) -> Dataset:
    """Load test rows; those without the label column get an empty one."""
    try:
        return _load(source, settings, lenient=True, room=room)
    except DataError as error:
        if not isinstance(error, MissingColumn) or repr(settings.label) not in error.what:
            raise
        found = _load(source, settings, lenient=True, labels=False, room=room)
        if set(known).isdisjoint(found.frame.columns):
            raise
        empty = pl.Series(settings.label, [None] * found.n, dtype=pl.String)
        return replace(found, frame=found.frame.with_columns(empty), target=settings.label)


def _split(whole: Dataset, settings: PairOptions) -> tuple[Dataset, Dataset]:
    """Split one source by a column, or at random."""
    if settings.split_column is not None:
        if settings.split_column not in whole.frame.columns:
            where = ", ".join(dict.fromkeys(origin.path for origin in whole.origins))
            raise MissingColumn(settings.split_column, whole.frame.columns, where)
        words = whole.frame[settings.split_column]
        first = is_training(words)
        left = whole.frame.drop(settings.split_column)
        whole = replace(whole, frame=left)
        if not first.any() or first.all():
            seen = ", ".join(map(repr, plain(words).unique().sort().head(4).to_list()))
            what = f"column {settings.split_column!r} does not tell train from test: got {seen}"
            raise DataError(what, "write 'train' for the training rows and 'test' for the others")
    elif settings.test_size is not None:
        size = settings.test_size
        count = round(size * whole.n) if size < 1 else int(size)
        if not 0 < count < whole.n:
            what = f"test_size {size:g} leaves no training or no test rows of {whole.n:,}"
            raise SettingError(what, "use .2")
        drawn = np.random.default_rng(settings.seed).choice(whole.n, count, replace=False)
        mask = np.ones(whole.n, dtype=bool)
        mask[drawn] = False
        first = pl.Series(mask)
    else:
        raise SettingError("there are no test rows", "give a second source, --split-column or --test-size")
    return whole.keep(first), whole.keep(~first)


def _labelled(
    labels: pl.Series, target: Target
) -> tuple[NDArray[Any] | None, NDArray[np.int64], tuple[str, ...], Unjudged]:
    """Return the classes of the test rows whose label training knows, their positions, decisions, others."""
    if labels.null_count() == len(labels):
        said = "The test rows have no labels: only their inputs are compared, no prediction can be judged."
        return None, np.arange(len(labels)), (said,), Unjudged()
    if target.quantity is not None:
        return with_numbers(labels, target.quantity)
    texts, name = class_texts(labels), labels.name
    number = {label: place for place, label in enumerate(target.classes)}
    codes = texts.replace_strict(number, default=None, return_dtype=pl.Int64)
    notes = []
    if texts.null_count():
        notes.append(f"{texts.null_count():,} of {len(texts):,} test rows have no {name!r}: not judged.")
    strange = texts.filter(texts.is_not_null() & codes.is_null())
    some = strange.unique().sort().head(3).to_list()
    names = ", ".join(map(repr, some))
    if len(strange):
        notes.append(f"{len(strange):,} test rows have a class that training lacks ({names}): not judged.")
    labelled = np.flatnonzero(codes.is_not_null().to_numpy())
    if not len(labelled):
        what = f"no test row has a label that training knows: got {names}"
        raise DataError(what, f"are these the values of {name!r}?")
    left = Unjudged(texts.null_count(), len(strange), tuple(some))
    return codes.drop_nulls().to_numpy().astype(np.int64), labelled, tuple(notes), left


def with_numbers(
    labels: pl.Series, quantity: Quantity
) -> tuple[NDArray[np.float64], NDArray[np.int64], tuple[str, ...], Unjudged]:
    """Return the same where labels are numbers."""
    numbers = numbers_of(labels, quantity.task)
    kept = numbers.is_finite().fill_null(value=False)
    gone, name = int((~kept).sum()), labels.name
    values = numbers.filter(kept).to_numpy(writable=True)
    if not len(values):
        raise DataError(f"no test row has a number as its {name!r}", f"are these the values of {name!r}?")
    require_counts(name, values, quantity.task)
    notes = (f"{gone:,} of {len(labels):,} test rows have no {name!r}: not judged.",) if gone else ()
    return values, np.flatnonzero(kept.to_numpy()), notes, Unjudged(unlabelled=gone)


@dataclass(frozen=True)
class Evaluation:
    """All test rows under some parameters."""

    wrong: NDArray[np.bool_]  # (t,) which are mispredicted
    loss: NDArray[np.float64]  # (t,) their losses, in nats


@dataclass(frozen=True)
class Tested:
    """Labelled test rows and their predictions; t rows, K classes, k = K - 1 scores."""

    dataset: Dataset  # the test rows, label column included
    y: NDArray[Any]  # (t,) class numbers, in the order of the trained model's classes; or numbers
    columns: Columns  # the rows by the training encoding
    block: Block  # the rows in the model's basis, of weight 1
    scores: Tensor  # (t, k) scores, the first class being the reference
    p: NDArray[np.float64]  # (t, K) probabilities
    loss: NDArray[np.float64]  # (t,) loss of the given label, in nats
    wrong: NDArray[np.bool_]  # (t,) which rows are mispredicted
    notes: tuple[str, ...] = ()  # decisions, in sentences

    @property
    def n(self) -> int:
        """Number of test rows."""
        return len(self.y)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The likeliest class of every row."""  # (t,)
        return np.asarray(self.p.argmax(1), dtype=np.int64)

    @property
    def evaluation(self) -> Evaluation:
        """The rows under the model's own parameters."""
        return Evaluation(self.wrong, self.loss)

    def take(self, rows: NDArray[np.int64]) -> Block:
        """Return some rows as a block."""  # (b,) positions
        at = torch.from_numpy(rows)
        if isinstance(self.block, ShardedRows):
            return self.block.take(at)
        X = self.block.X[at] if isinstance(self.block.X, Tensor) else self.block.X[rows]
        return Block(X, self.block.y[at], self.block.weight[at])


def evaluate(trained: Trained, tested: Tested, theta: Tensor) -> Evaluation:
    """Predict the test rows with other parameters."""  # (p,)
    return evaluate_scores(trained, tested, trained.objective.model.scores(theta, tested.block))


def evaluate_scores(trained: Trained, tested: Tested, scores: Tensor) -> Evaluation:
    """Evaluate the test rows by other scores."""  # (t, k)
    return evaluated(trained, scores, tested.block.y)


def evaluated(trained: Trained, scores: Tensor, y: Tensor) -> Evaluation:
    """Evaluate rows of known targets by their scores."""  # (t, k), (t,)
    return Evaluation(trained.wrong(scores, y), trained.loss(scores, y).numpy())


def predict(
    trained: Trained,
    dataset: Dataset,
    y: NDArray[Any],
    *,
    notes: tuple[str, ...] = (),
    encoding: Encoding | None = None,
) -> Tested:
    """Encode test rows as the training rows were, and predict them."""  # y (t,)
    encoding = encoding if trained.described is None else trained.described.encoding
    if encoding is None:
        raise SettingError("a model of your own encodes its columns by itself", "leave model out")
    if not len(y):
        raise DataError("no test row can be used: none has a label that training knows", "give labelled rows")
    for role in trained.roles:
        if role.role != "left out" and role.column not in dataset.frame.columns:
            raise MissingColumn(role.column, dataset.frame.columns, "the test rows")
    labels = torch.from_numpy(y if trained.quantity is None else trained.quantity.coded(y))
    weight = torch.ones(len(y), dtype=torch.float64)
    if not isinstance(dataset.frame, pl.DataFrame):
        return _predicted_by_pieces(trained, dataset, y, labels, notes=notes)
    columns = encoding.transform(dataset.frame)
    X = trained.design(dataset.frame) if trained.encoded is None else trained.encoded.basis.transform(columns)
    block = Block(torch.from_numpy(X) if isinstance(X, np.ndarray) else X, labels, weight)
    scores = trained.objective.model.scores(trained.fit.theta, block)
    p, loss = trained.log_probabilities(scores).exp(), trained.loss(scores, labels)
    wrong = trained.wrong(scores, labels)
    return Tested(dataset, y, columns, block, scores, p.numpy(), loss.numpy(), wrong, notes)


def _predicted_by_pieces(
    trained: Trained, dataset: Dataset, y: NDArray[Any], labels: Tensor, *, notes: tuple[str, ...]
) -> Tested:
    """Predict test rows that stay on disk: they are encoded whenever they are asked for."""
    from dataaudit.features.scanned import ScannedColumns  # noqa: PLC0415 - few tables are so large
    from dataaudit.training.shards import frame_shards  # noqa: PLC0415

    encoding, basis = trained.encoded.encoding, trained.encoded.basis  # type: ignore[union-attr]
    columns, weight = ScannedColumns(dataset.frame, encoding), torch.ones(len(y), dtype=torch.float64)
    rows = ShardedRows(frame_shards(columns, basis), labels, weight, len(basis.features))
    scores = joined(rows.map(partial(trained.objective.model.scores, trained.fit.theta)), rows.n)
    p, loss = trained.log_probabilities(scores).exp(), trained.loss(scores, labels)
    wrong = trained.wrong(scores, labels)
    # They answer what is asked of rows and columns, but for all of them at once.
    there = cast("Columns", columns), cast("Block", rows)
    return Tested(dataset, y, *there, scores, p.numpy(), loss.numpy(), wrong, notes)

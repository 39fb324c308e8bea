"""Probabilities of classes as people have them: an array, a frame or a file, checked against the rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.data.load import load
from dataaudit.errors import MissingColumn, SettingError, UnreadableFile
from dataaudit.escape import shown
from dataaudit.features.target import Target, class_texts

Floats = NDArray[np.float64]

NAME: Final = "pred_probs"
_SUM: Final = 0.01  # by which probabilities of a row may miss 1
_LEAST: Final = 1e-12  # of a probability
_MOST: Final = 1e-3  # in the place of 0, where no smaller probability was given
_SORTED: Final = "in the order of the sorted classes"


def given_probabilities(given: Any, target: Target) -> Floats:
    """Return the probability of every class, for the rows that have a label."""  # -> (n, K)
    values, names = _read(given)
    columns = _columns(values.shape[1], names, target.classes)
    n, labelled = len(target.kept), len(target.y)
    if len(values) not in (n, labelled):
        what = f"{NAME} has {len(values):,} rows, the data have {n:,}"
        raise SettingError(what, "give one row for each row of the data, in their order")
    kept = target.kept.to_numpy() if len(values) == n else np.ones(labelled, dtype=bool)
    return checked(values[kept][:, columns], target.classes)


def checked(values: Floats, classes: Sequence[str]) -> Floats:
    """Return probabilities that are some, of rows that sum to 1."""  # (n, K) -> (n, K)
    bad = np.flatnonzero(~np.isfinite(values).all(1) | (values < 0).any(1) | (values > 1 + _SUM).any(1))
    total = values.sum(1)
    off = np.flatnonzero(np.abs(total - 1) > _SUM)
    if len(bad):
        row, hint = int(bad[0]), "give probabilities from 0 to 1, such as those of predict_proba"
        value = values[row][~((values[row] >= 0) & (values[row] <= 1 + _SUM))][0]
        raise SettingError(f"{NAME} holds {value:g} in its row {row:,} of {len(values):,}", hint)
    if len(off):
        row, named = int(off[0]), ", ".join(map(shown, classes[:5]))
        what = f"the {len(classes)} probabilities of row {row:,} in {NAME} sum to {total[row]:.3g}, not to 1"
        raise SettingError(what, f"give those of all classes ({named}), none other")
    return np.asarray(values / total[:, None])


def log_odds(values: Floats) -> Floats:
    """Return log-odds against the first class; 0 stands for half of the least other probability."""
    some = values[values > 0]
    least = float(np.clip(some.min() / 2, _LEAST, _MOST)) if len(some) else _MOST
    logs = np.log(np.maximum(values, least))
    return np.asarray(logs[:, 1:] - logs[:, :1])  # (n, K) -> (n, K−1)


def _read(given: Any) -> tuple[Floats, tuple[str, ...]]:
    """Return the numbers, and the names of their columns where these have some."""
    if isinstance(given, str | Path):
        if Path(given).suffix.lower() == ".npy":
            return _array(_loaded(Path(given))), ()
        given = load(given, target="").frame
    elif hasattr(given, "columns"):
        given = load(given, target="").frame
    if not isinstance(given, pl.DataFrame):
        return _array(given), ()
    for name, kind in given.schema.items():
        if not kind.is_numeric():
            what = f"column {shown(name)!r} of {NAME} holds no numbers: got type {kind}"
            raise SettingError(what, "leave it out")
    return given.cast(pl.Float64).fill_null(np.nan).to_numpy(), tuple(given.columns)


def _loaded(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        what = f"{path.as_posix()} cannot be read as an array: {error}"
        raise UnreadableFile(what, "write it with numpy.save") from error


def _array(given: Any) -> Floats:
    """Return an array of two axes."""
    given = given.numpy(force=True) if type(given).__module__.startswith("torch") else given
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"{NAME} is no array of numbers: {error}", "give what predict_proba returns"
        ) from error
    if values.ndim != 2:  # noqa: PLR2004 - rows and classes
        what = f"{NAME} must have a row a row and a column a class: got {values.ndim} axes"
        raise SettingError(what, "of two classes, give np.column_stack([1 - p, p])")
    return values


def _columns(width: int, names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Return the column of each class: by its name where columns have names, else in their order."""
    if names:
        texts = [*map(_class_name, names)]
        strange = [name for name, text in zip(names, texts, strict=True) if text not in classes]
        if missing := [name for name in classes if name not in texts]:
            raise MissingColumn(missing[0], names, f"{NAME}, which needs a column named by each class")
        if strange:
            what = f"column {shown(strange[0])!r} of {NAME} is no class of the labels"
            raise SettingError(what, "leave it out, or relabel: the other columns sum to 1")
        return [texts.index(name) for name in classes]
    if width != len(classes):
        named = ", ".join(shown(name) for name in classes[:8]) + (", …" if len(classes) > 8 else "")  # noqa: PLR2004
        what = f"{NAME} has {width} columns, the labels have {len(classes)} classes: {named}"
        raise SettingError(
            what, f"give a column for each, {_SORTED}, or a frame whose columns are named by them"
        )
    return list(range(width))


def _class_name(name: str) -> str:
    """Return the name of a column as that of a class: ``1.0`` is ``1`` among labels that are numbers."""
    try:
        return str(class_texts(pl.Series([float(name)]))[0]) if "." in name else name
    except ValueError:
        return name

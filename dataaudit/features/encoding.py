"""Fit the encoders of all columns on training rows; apply them to any rows with the same columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from dataaudit.errors import EncodeError, MissingColumn
from dataaudit.features.categorical import fit_categorical
from dataaudit.features.columns import ColumnBlocks, ColumnEncoder, Columns, Feature, Role, one_hot, values_of
from dataaudit.features.numeric import fit_boolean, fit_datetime, fit_numeric
from dataaudit.features.roles import EXCLUDED, NOT_NAMED, RESTATES, infer_roles, names_rows
from dataaudit.features.text import fit_text
from dataaudit.features.vector import fit_vector
from dataaudit.options import EncoderOptions

_Result = TypeVar("_Result")
_SHOWN = 8  # columns listed in one line
_DEFAULTS = EncoderOptions()
_BLOCKS = {  # kinds of features in each block, which keep the order of their columns
    "numeric": ("numeric", "datetime"),
    "vectors": ("vector",),
    "levels": ("boolean", "level", "missing"),
    "terms": ("term",),
}
_NOTHING_TO_USE = {"text": "no word in any row"}


@dataclass(frozen=True)
class Encoding:
    """Fitted encoders, one per used column; a value that can be pickled."""

    roles: tuple[Role, ...]  # what every column but the target is used as, and why
    notes: tuple[str, ...]  # decisions to state to the user, full sentences
    encoders: tuple[ColumnEncoder, ...]  # in the order of the columns in training
    features: tuple[Feature, ...]  # of all encoders, column by column; `transform` sorts them into blocks

    @property
    def left_out(self) -> tuple[str, ...]:
        """The note on columns that are left out."""
        return _left_out_note(self.roles)

    def transform(self, frame: pl.DataFrame) -> Columns:
        """Encode n rows: the same features in the same order whatever the frame."""
        parts = [_on_column(frame, encoder.column, encoder.transform) for encoder in self.encoders]
        kinds = {
            block: tuple(feature for feature in self.features if feature.kind in names)
            for block, names in _BLOCKS.items()
        }
        numeric = [values for part in parts for values in part.numeric]
        vectors = [part.vectors for part in parts if part.vectors is not None]
        return Columns(
            numeric=np.column_stack(numeric) if numeric else np.empty((frame.height, 0)),
            numeric_features=kinds["numeric"],
            vectors=_side_by_side(vectors, frame.height),
            vector_features=kinds["vectors"],
            levels=one_hot([group for part in parts for group in part.groups], frame.height),
            level_features=kinds["levels"],
            terms=_terms(parts, frame.height),
            term_features=kinds["terms"],
        )

    def unseen(self, frame: pl.DataFrame) -> dict[str, tuple[str, ...]]:
        """Return the levels that training did not have, of each column with any."""
        found = {e.column: _on_column(frame, e.column, e.unseen) for e in self.encoders}
        return {column: levels for column, levels in found.items() if levels}


def fit_encoding(
    frame: pl.DataFrame,
    target: str,
    *,
    settings: EncoderOptions = _DEFAULTS,
    decided: Sequence[Role] | None = None,  # what every column is used as; by default it is inferred
) -> Encoding:
    """Decide the roles of all columns and learn their encoders."""
    if frame.height == 0:
        raise EncodeError("the table has no rows", "give at least two rows of each class")
    roles: list[Role] = []
    encoders: list[ColumnEncoder] = []
    features: list[Feature] = []
    for role in infer_roles(frame, target, settings=settings) if decided is None else decided:
        encoder = _fit_column(role, values_of(frame, role.column), settings)
        own = () if encoder is None else encoder.features
        if encoder is not None and not own:
            reason = _NOTHING_TO_USE.get(role.role, "the same value in every row")
            if role.column in settings.text:
                raise EncodeError(f"text column {role.column!r} has {reason}", "name another text column")
            roles.append(Role(role.column, "left out", reason))
            continue
        roles.append(role)
        if encoder is not None:
            encoders.append(encoder)
            features.extend(own)
    if not encoders:
        raise _nothing_left(roles)
    notes = tuple(chain(_left_out_note(roles), *(encoder.notes for encoder in encoders)))
    return Encoding(tuple(roles), notes, tuple(encoders), tuple(features))


def _fit_column(role: Role, series: pl.Series, settings: EncoderOptions) -> ColumnEncoder | None:
    match role.role:
        case "numeric":
            return fit_numeric(role.column, series)
        case "boolean":
            return fit_boolean(role.column, series)
        case "datetime":
            return fit_datetime(role.column, series)
        case "categorical":
            return fit_categorical(role.column, series, max_levels=settings.max_levels)
        case "text":
            return fit_text(role.column, series, settings=settings)
        case "vector":
            return fit_vector(role.column, series)
    return None


def _on_column(frame: pl.DataFrame, column: str, verb: Callable[[pl.Series], _Result]) -> _Result:
    """Apply a verb of an encoder to its column, and name the column in what goes wrong."""
    if column not in frame.columns:
        raise MissingColumn(column, frame.columns, "the rows to encode")
    try:
        return verb(values_of(frame, column))
    except EncodeError as error:
        raise EncodeError(f"column {column!r} does not fit: {error.what}", error.hint) from None


def _side_by_side(blocks: Sequence[NDArray[np.float64]], n: int) -> NDArray[np.float64]:
    if not blocks:
        return np.empty((n, 0))
    return blocks[0] if len(blocks) == 1 else np.hstack(blocks)


def _terms(parts: Sequence[ColumnBlocks], n: int) -> csr_array:
    blocks = [part.terms for part in parts if part.terms is not None]
    if not blocks:
        return csr_array((n, 0), dtype=np.float64)
    return blocks[0] if len(blocks) == 1 else csr_array(hstack(blocks, format="csr"))


def _listed(roles: Sequence[Role]) -> str:
    shown = "; ".join(f"{role.column} ({role.reason})" for role in roles[:_SHOWN])
    return shown + (f"; and {len(roles) - _SHOWN:,} more" if len(roles) > _SHOWN else "")


def _left_out_note(roles: Sequence[Role]) -> tuple[str, ...]:
    known = (EXCLUDED, NOT_NAMED)  # to the user, who asked for it
    left = [role for role in roles if role.role == "left out" and role.reason not in known]
    if not left:
        return ()
    what = "1 column is" if len(left) == 1 else f"{len(left):,} columns are"
    hint = (
        " List one under features to use it."
        if any(names_rows(role) or role.reason.startswith(RESTATES) for role in left)
        else ""
    )
    return (f"{what} left out: {_listed(left)}.{hint}",)


def _nothing_left(roles: Sequence[Role]) -> EncodeError:
    if not roles:
        return EncodeError(
            "there is no column other than the label", "give a table with at least one feature"
        )
    hint = "name an identifier under features to use it all the same"
    return EncodeError(f"no column can be used as a feature: {_listed(roles)}", hint)

"""Provenance: where findings come from, so that another run can give the same ones, and its JSON file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from dataaudit.errors import DataError

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d{1,2})?", re.ASCII)
_COUNT: Final = re.compile(r"\d+", re.ASCII)
WITHHELD: Final = "(withheld)"  # in the place of a redacted value
OUTSIDE: Final = "none"  # the solver, where probabilities are of a model that was not fitted here
AGAIN: Final = "run the audit again, or name the folder that it wrote"
_LATER: Final[Mapping[str, Any]] = {
    "leading": 0,
    "learned": {},
    "claim": {},
    "without": {},
    "n_judged": 0,
    "trust": {},
}  # fields that earlier versions did not write
NOUNS: Final[Mapping[str, str]] = {  # what a folder holds, by its kind
    "labels": "an audit of labels",
    "mismatch": "an audit of a mismatch",
    "explanation": "an explanation",
    "vulnerability": "an audit of vulnerability",
}


@dataclass(frozen=True, kw_only=True)
class Record:
    """The base of every provenance; the fields are those of the subclass."""

    KIND: ClassVar[str]  # what is written in the file, one of `NOUNS`
    FORMAT: ClassVar[int] = 1  # raised when a table changes in a way that older readers cannot bear
    AFTERWARDS: ClassVar[str] = "learned"  # the field of what came after the run, which keeps its id

    run: str = field(default="", repr=False, compare=False)  # the id of what was redacted; not stored

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # lists are welcome, tuples are kept
            if str(f.type).startswith("tuple"):
                object.__setattr__(self, f.name, tuple(getattr(self, f.name)))

    @property
    def run_id(self) -> str:
        """Sixteen hexadecimal digits that stand for all fields; equal for equal runs."""
        facts = {name: value for name, value in self._facts().items() if name != self.AFTERWARDS}
        return self.run or hashlib.sha256(dump(facts).encode()).hexdigest()[:16]

    @property
    def task(self) -> str:
        """What the labels are: classification, regression or count."""
        return str(getattr(self, "settings", {}).get("task") or "classification")

    @property
    def is_number(self) -> bool:
        """Whether labels are numbers."""
        return self.task != "classification"

    def takes(self, label: str) -> bool:
        """Whether a row may get a label: one of the classes, or a number where labels are numbers."""
        if not self.is_number:
            return label in getattr(self, "classes", ())
        return (_COUNT if self.task == "count" else _NUMBER).fullmatch(label) is not None

    def _facts(self) -> dict[str, Any]:
        facts = {name: getattr(self, name) for name in _stored(type(self))}
        return {name: value for name, value in facts.items() if _LATER.get(name, ...) != value}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, the kind, `run_id` and the format's number, as JSON's types."""
        facts: dict[str, Any] = plain(self._facts())
        return {"format": self.FORMAT, "kind": self.KIND, "run_id": self.run_id, **facts}

    def to_json(self, tables: Iterable[str] = ()) -> str:
        """Return what is written next to these tables: sorted keys, two spaces, a newline at the end."""
        return dump({**self.to_dict(), "tables": sorted(tables)}, indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Self:
        """Read what `to_dict` gave; `where` is the name of the file, for messages."""
        if values.get("format") != cls.FORMAT:
            what = f"{where} has format {values.get('format')!r}, this version reads {cls.FORMAT}"
            raise DataError(what, "run the audit again with this version")
        if values.get("kind") != cls.KIND:
            raise DataError(f"{where} is not of {NOUNS[cls.KIND]}", AGAIN)
        kinds = _stored(cls)
        values = {**_LATER, **values}
        missing = [name for name in kinds if name not in values]
        if missing:
            raise DataError(f"{where} lacks {', '.join(missing)}", AGAIN)
        given: dict[str, Any] = {name: values[name] for name in kinds}
        given |= {name: math.nan for name, kind in kinds.items() if kind == "float" and given[name] is None}
        return cls(**given)


def _stored(kind: type[Record]) -> dict[str, str]:
    """Return the fields that are written, with their types."""
    return {f.name: str(f.type) for f in dataclasses.fields(kind) if f.name != "run"}


@dataclass(frozen=True, kw_only=True)
class AuditRecord(Record):
    """What every audit says of itself."""

    version: str  # of dataaudit
    command: str  # or the call
    target: str  # name of the label column
    n_features: int  # encoded
    classes: tuple[str, ...]  # in the order of the model; the first is the reference
    l2: float  # λ of the mean loss (the paper's weight decay)
    basis: str  # what was chosen, in words for people; so are the next two
    solver: str
    solver_reason: str
    gradient_norm: float  # largest absolute component of the gradient at the fit, in nats
    seed: int  # of everything random
    settings: Mapping[str, Any] = field(default_factory=dict)  # `Options.to_dict`, and more of the data
    versions: Mapping[str, str] = field(default_factory=dict)  # of Python and of the libraries
    origins: tuple[Mapping[str, Any], ...] = ()  # training files: path, format, sha256, rows
    roles: tuple[Mapping[str, str], ...] = ()  # columns: column, role, reason
    notes: tuple[str, ...] = ()  # decisions to state to the user, in full sentences
    leading: int = 0  # how many of them, the first ones, say what was left out or read in another way

    @property
    def outside(self) -> bool:
        """Whether probabilities are of a model that was not fitted here, so that there is no influence."""
        return self.solver == OUTSIDE


@dataclass(frozen=True, kw_only=True)
class PairRecord(AuditRecord):
    """The same of an audit that has training rows and test rows."""

    train: str  # names of the data as given
    test: str
    n_train: int
    n_test: int  # test rows that can be judged
    test_origins: tuple[Mapping[str, Any], ...] = ()


def dump(value: Any, indent: int | None = None) -> str:
    """Return JSON text with sorted keys."""
    return json.dumps(plain(value), sort_keys=True, indent=indent, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Return JSON's types: NumPy scalars are known by their `item`, what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    item = getattr(value, "item", None)
    value = item() if callable(item) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)

"""What an option is, and a group of them: made, checked, kept and read again; what flips are asked for."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, MISSING, Field, dataclass, field, fields, replace
from functools import cache
from inspect import get_annotations
from math import inf
from numbers import Real
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    Self,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from dataaudit.errors import SettingError, suggestion

FACTORS: Final = ("auto", "cholesky", "dual")  # exact: of the p × p Hessian, or of the nk × nk dual
PRODUCTS: Final = ("cg", "lissa", "arnoldi")  # by products alone: to a tolerance, or estimates
SOLVERS: Final = (*FACTORS, *PRODUCTS)
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Opt:
    """What the type and the default of a field leave unsaid."""

    help: str
    panel: str = ""  # of --help; none for what is not on the command line
    _: KW_ONLY
    metavar: str = ""  # N for whole numbers, COLUMN for other input
    flags: str = ""  # in place of --name-of-the-field
    place: int = 0  # in its panel, the lowest first
    shown: str = ""  # by --help, in place of the default
    kind: str = ""  # what a text or number is: path, base, query, pairs, size or count
    key: str = ""  # of the configuration file, for the name
    least: float = -inf  # 0 for whole numbers
    above: float = -inf
    most: float = inf
    choices: tuple[str, ...] = ()
    check: Callable[[Any], object] | None = None
    stored: str | None = ""  # key of the provenance, for the name; None for none
    python: str = ""  # more help, of what only Python can be given


@dataclass(frozen=True, slots=True)
class Option:
    """A field of a group, as its annotation describes it."""

    name: str
    type: Any  # without None; of a sequence, that of its items
    opt: Opt
    default: Any  # MISSING where it must be given
    optional: bool = False
    repeated: bool = False  # a sequence, or a mapping by rule
    init: bool = True

    @property
    def choices(self) -> tuple[str, ...]:
        """The only values, if there are such."""
        return self.opt.choices or (get_args(self.type) if get_origin(self.type) is Literal else ())

    @property
    def least(self) -> float:
        """The smallest value."""
        return max(self.opt.least, 0) if self.type is int else self.opt.least

    @property
    def stored(self) -> str:
        """Key in the provenance; empty for none."""
        return "" if self.opt.stored is None else self.opt.stored or self.name

    @property
    def key(self) -> str:
        """Key in the configuration file."""
        return self.opt.key or self.name.replace("_", "-")

    def checked(self, value: Any) -> Any:
        """Return a value as the group holds it; raise `SettingError` if it makes no sense."""
        if value is None and self.optional:
            return None
        if self.repeated and isinstance(value, Mapping):
            return {code: self._item(item) for code, item in value.items()}
        if self.repeated:
            one = isinstance(value, str) if self.type is str else _is_whole(value)
            return tuple(self._item(item) for item in ((value,) if one else value))
        if self.opt.kind == "size" and isinstance(value, str):
            return self._item(parse_size(value, self.name))
        if self.choices and value not in self.choices:
            if self.type is Any and not isinstance(value, str):
                return value  # a fitted model
            raise unknown(self.name, value, self.choices)
        return self._item(value)

    def _item(self, value: Any) -> Any:
        fits, what, hint = _TYPES.get(self.type, _ANY)
        if not fits(value):
            raise SettingError(f"{self.name} must be {what}: got {value!r}", hint)
        opt, least = self.opt, self.least
        if self.type in (int, float) and not (least <= value <= opt.most and opt.above < value < inf):
            low = f"above {opt.above:.12g}" if opt.above > -inf else f"{least:.12g} or more"
            bounds = low if opt.most == inf else f"from {least:.12g} to {opt.most:.12g}"
            raise SettingError(f"{self.name} must be {bounds}: got {value:.12g}", "leave it out")
        if opt.check:
            opt.check(value)
        return operator.index(value) if self.type is int else value


def parse_size(text: str, name: str) -> int:
    """Return the bytes of ``512MiB``, ``2 GB``, ``1.5g``: powers of 1024, or of 1000 for B without i."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise SettingError(f"{name} takes a size: got {text!r}", "write e.g. 512MiB or 2GiB")
    number, unit, binary = match.groups()
    decimal = bool(unit) and not binary and text.strip().lower().endswith("b")
    return int(float(number) * (1000 if decimal else 1024) ** " kmgt".index(unit.lower() or " "))


def _is_whole(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


_ANY: Final = (lambda _value: True, "", "")
_TYPES: Final[Mapping[Any, tuple[Callable[[Any], bool], str, str]]] = {
    str: (lambda value: isinstance(value, str), "text", "give one name in quotes"),
    int: (_is_whole, "a whole number", "give one without quotes, such as 3"),
    float: (lambda value: isinstance(value, Real), "a number", "give one without quotes, such as .1"),
}


def unknown(name: str, value: object, among: Iterable[str]) -> SettingError:
    """Return the error for a value that is not among a few."""
    return SettingError(f"unknown {name}: got {value!r}", suggestion(str(value), among))


def require_solver(name: str, among: Sequence[str] = SOLVERS, *, why: str = "is not for this") -> None:
    """Refuse what is no solver, or none that can be had here."""
    if name in among:
        return
    if name in SOLVERS:
        raise SettingError(f"solver {name!r} {why}", f"use one of {', '.join(among)}")
    raise unknown("solver", name, among)


def require_damping(damping: float) -> None:
    """Refuse a damping that would take curvature away."""
    if not 0 <= damping < inf:
        raise SettingError(f"damping must be 0 or more: got {damping:g}", "leave it out, or give 0.01")


def require_factor(name: str) -> None:
    """Refuse what does not give the leave-one-out of every row."""
    require_solver(name, FACTORS, why="has no leave-one-out of every row, by which labels are ranked")


def options_of(group: "Options | type[Options]") -> tuple[Option, ...]:
    """Return the options of a group, in the order of its fields."""
    kind: Any = group if isinstance(group, type) else type(group)
    return _options_of(kind)


@cache
def _options_of(group: Any) -> tuple[Option, ...]:
    hints: dict[str, Any] = {}
    for base in reversed(group.__mro__):
        hints |= get_annotations(base)
    if any(isinstance(hint, str) for hint in hints.values()):
        hints = get_type_hints(group, include_extras=True)
    made = []
    for one in fields(group):
        if get_origin(hints[one.name]) is Annotated:
            default = one.default if one.default_factory is MISSING else one.default_factory()
            kind, opt = get_args(hints[one.name])
            made.append(describe(one.name, kind, opt=opt, default=default, init=one.init))
    return tuple(made)


def describe(name: str, kind: Any, *, opt: Opt, default: Any, init: bool = True) -> Option:
    """Return an option as a type and an `Opt` describe it."""
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    rest = [part for part in parts if part is not NoneType]
    repeated = get_origin(rest[-1]) in (Sequence, Mapping)
    item = get_args(rest[-1])[-1] if repeated else rest[0]
    return Option(name, item, opt, default, len(rest) < len(parts), repeated, init)


Group = TypeVar("Group", bound="Options")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Options:
    """A group of options: a frozen dataclass of keywords, whose values are checked when it is made."""

    NESTED: ClassVar[Mapping[str, "type[Options]"]] = {}  # key of the provenance → options that are below it
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)  # written out below: it starts faster

    def __eq__(self, other: object) -> bool:
        names = [one.name for one in fields(self) if one.compare]
        return type(self) is type(other) and all(getattr(self, n) == getattr(other, n) for n in names)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
        return f"{type(self).__name__}({', '.join(shown)})"

    def __post_init__(self) -> None:
        for option in options_of(self):
            object.__setattr__(self, option.name, option.checked(getattr(self, option.name)))

    def part(self, group: type[Group]) -> Group:
        """Return those of the options that a smaller group has."""
        names = [option.name for option in options_of(group)]
        return group(**{name: getattr(self, name) for name in names if hasattr(self, name)})

    def to_dict(self) -> dict[str, Any]:
        """Return the options as the provenance keeps them."""
        kept = (option for option in options_of(self) if option.stored)
        flat = {option.stored: getattr(self, option.name) for option in kept}
        for key, group in self.NESTED.items():
            below = self.part(group).to_dict()
            flat = {name: value for name, value in flat.items() if name not in below} | {key: below}
        return flat

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> Self:
        """Return the options that a provenance keeps; what else it keeps is left out."""
        flat = dict(known)
        for key in cls.NESTED:
            flat |= known.get(key, {})
        kept = (option for option in options_of(cls) if option.init and option.stored in flat)
        return cls(**{option.name: flat[option.stored] for option in kept})


@dataclass(frozen=True, slots=True)
class Question:
    """A conclusion to flip; the name is COLUMN or COLUMN=LEVEL as typed, of a predicted number its VALUE."""

    kind: Literal["prediction", "coefficient", "slice"]
    name: str = ""
    relabel: bool = False  # by other labels of training rows, rather than without them


def parse_question(text: str) -> Question:
    """Read which conclusion is to be flipped."""
    kind, _, name = text.strip().partition(":")
    kind, name = kind.strip().casefold(), name.strip()
    if kind == "relabel":
        return replace(parse_question(name or "prediction"), relabel=True)
    if kind == "prediction":
        return Question("prediction", name)
    if kind == "coefficient" and name:
        return Question("coefficient", name)
    if kind == "slice" and "=" in name:
        return Question("slice", name)
    forms = "write prediction, coefficient:COLUMN, coefficient:COLUMN=LEVEL, slice:COLUMN=LEVEL or relabel"
    raise SettingError(f"there is no such conclusion to flip: got {text!r}", forms)


def require_flip(question: Question, *, is_number: bool) -> None:
    """Refuse what has no meaning for classes, or for numbers."""
    if is_number and question.relabel:
        what = "relabel gives training rows another class, which numbers do not have"
        raise SettingError(what, "ask for rows to remove: --flip prediction:VALUE, coefficient: or slice:")
    if is_number and question == Question("prediction"):
        what = "a predicted number does not flip: say which value it is to pass"
        raise SettingError(what, "write --flip prediction:VALUE, in the unit of the label")
    if question.kind != "prediction" or not question.name:
        return
    if not is_number:
        what = f"a predicted class passes no value: got prediction:{question.name[:40]}"
        raise SettingError(what, "write --flip prediction, or --task for a label that is a number")
    try:
        float(question.name)
    except ValueError as error:
        what = f"the value that the prediction is to pass is no number: got {question.name[:40]!r}"
        raise SettingError(what, "write --flip prediction:30") from error

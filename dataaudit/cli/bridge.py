"""Commands of Typer, made of groups of options.

A command is a function. Of its parameters, a group (`options.Options`) is expanded into its options;
``Annotated[type, Opt(…)]`` is an option of this command alone, and ``Annotated[type, Arg(…)]`` an argument.
Where a parameter is ``Annotated[Said, Group]``, the function gets only what was said, by the keys of the
configuration.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from functools import cached_property
from importlib import import_module
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import typer

from dataaudit.errors import SettingError
from dataaudit.options import (
    ATTACK,
    INPUT,
    MODEL,
    RANKING,
    RUN,
    TRACING,
    Opt,
    Option,
    describe,
    options_of,
    parse_size,
)
from dataaudit.options import OUTPUT as _OUTPUT

Said = dict[str, Any]
DATABASE, GATE, OUTPUT = "Database", "Gate", _OUTPUT
PANELS: Final = (
    "", "Entries", INPUT, DATABASE, ATTACK, MODEL, RANKING, TRACING, GATE, "Configuration", RUN, OUTPUT
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arg(Opt):
    """An argument: it has no flag."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """An option on the command line, and the parameter of the function that it goes to."""

    target: str
    option: Option
    default: Any
    group: Any = None
    said: bool = False

    def order(self, panels: tuple[str, ...]) -> tuple[bool, int, bool, int]:
        """Return the key of its place in --help: by panel, what must be given first."""
        opt = self.option.opt
        return not isinstance(opt, Arg), panels.index(opt.panel), self.default is not MISSING, opt.place


class Command:
    """A command; its options are made when it is asked for its signature, which most commands never are."""

    def __init__(
        self, function: Callable[..., Any], first: tuple[str, ...], defaults: dict[str, Any]
    ) -> None:
        self.function = function
        self.panels = (*first, *PANELS)
        self.defaults = defaults
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    @cached_property
    def given(self) -> Mapping[str, Parameter]:
        """The parameters of the function."""
        return inspect.signature(self.function, eval_str=True).parameters

    @cached_property
    def slots(self) -> list[_Slot]:
        """The options, in the order of --help."""
        made = [slot for one in self.given.values() for slot in _slots(one, self.defaults)]
        return sorted(made, key=lambda slot: slot.order(self.panels))

    @cached_property
    def __signature__(self) -> inspect.Signature:
        """The options as parameters, as Typer takes them."""
        context = Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)
        return inspect.Signature([context, *map(_parameter, self.slots)])

    @property
    def __annotations__(self) -> dict[str, Any]:  # type: ignore[override]
        """Types by the names of the parameters."""
        return {one.name: one.annotation for one in self.__signature__.parameters.values()}

    def __call__(self, context: typer.Context, **values: Any) -> Any:
        """Call the function with its groups."""
        taken: dict[str, Any] = {name: {} for name in self.given}
        groups = {slot.target: slot.group for slot in self.slots if slot.group and not slot.said}
        for slot in self.slots:
            value = read(slot.option, values[slot.option.name])
            if slot.said:
                taken[slot.target] |= {} if value in (None, (), {}) else {slot.option.key: value}
            elif slot.group:
                taken[slot.target][slot.option.name] = value
            else:
                taken[slot.target] = value
        for name, group in groups.items():
            about = {"command": context.obj} if hasattr(group, "command") else {}
            taken[name] = group(**taken[name], **about)
        return self.function(**taken)


def command(*first: str, **defaults: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function, with panels that come first, and other defaults for some options."""
    return lambda function: Command(function, first, defaults)


def _slots(one: Parameter, defaults: Mapping[str, Any]) -> Iterator[_Slot]:
    """Yield the options of one parameter of a function."""
    kind, *extras = get_args(one.annotation) if get_origin(one.annotation) is Annotated else (one.annotation,)
    if extras and isinstance(extras[0], Opt):
        default = MISSING if one.default is one.empty else one.default
        yield _Slot(
            one.name,
            describe(one.name, kind, opt=extras[0], default=default),
            defaults.get(one.name, default),
        )
        return
    said = kind is Said
    group, *only = extras if said else (kind, *extras)
    if isinstance(group, str):  # "module:Group", where a group is imported when it is asked for
        module, _, name = group.partition(":")
        group = getattr(import_module(module), name)
    for option in options_of(group):
        if (
            (option.opt.panel or isinstance(option.opt, Arg))
            and option.init
            and (not only or option.name in only[0].split())
        ):
            default = None if said else defaults.get(option.name, option.default)
            yield _Slot(one.name, option, default, group, said)


def _parameter(slot: _Slot) -> Parameter:
    """Return an option as Typer takes it."""
    option, opt = slot.option, slot.option.opt
    default = None if option.repeated and slot.default is not MISSING else slot.default
    shown: str | bool = opt.shown or not (default is MISSING or opt.kind == "count")
    if slot.said and isinstance(option.default, str):
        shown = opt.shown or option.default or True
    annotation = _typed(option)
    if option.optional or default is None:
        annotation = annotation | None
    metavar = opt.metavar or ("N" if option.type is int and not opt.kind else "")
    metavar = metavar or ("COLUMN" if option.type is str and opt.panel == INPUT else "")
    metavar = metavar or ("FILE" if option.type is Path and not isinstance(opt, Arg) else "")
    example = "" if opt.kind else ", or 1,2,3" if option.type is int else ", or a,b"
    help_ = f"{opt.help} Repeatable{example}." if option.repeated and not isinstance(opt, Arg) else opt.help
    more: dict[str, Any] = {"help": help_, "metavar": metavar or None, "show_default": shown}
    if option.least > float("-inf") and option.type is int and not (option.repeated or opt.kind):
        more["min"] = int(option.least)
    if isinstance(opt, Arg):
        info = typer.Argument(**more)
    else:
        flags = opt.flags.split() or [f"--{option.name.replace('_', '-')}"]
        info = typer.Option(*flags, **more, rich_help_panel=opt.panel or None, count=opt.kind == "count")
    empty = Parameter.empty if default is MISSING else default
    return Parameter(
        option.name, Parameter.KEYWORD_ONLY, default=empty, annotation=Annotated[annotation, info]
    )


def _typed(option: Option) -> Any:
    if option.repeated:
        return list[str]
    if option.choices and not option.opt.metavar:
        return Literal[option.choices]
    return str if option.type is Any or option.opt.kind == "size" else option.type


def read(option: Option, value: Any) -> Any:
    """Return what was typed as the option holds it."""
    if option.opt.kind == "size" and isinstance(value, str):
        return parse_size(value, f"--{option.name}")
    if not option.repeated or isinstance(option.opt, Arg) or option.opt.kind == "paths":
        return tuple(value or ()) if option.repeated else value
    words = [word.strip() for given in value or () for word in given.split(",") if word.strip()]
    flag = option.opt.flags or f"--{option.name}"
    if option.opt.kind == "pairs":
        return dict(_pair(flag, word, number=option.type is float) for word in words)
    if option.type is int:
        for word in words:
            if not (word.isascii() and word.isdigit()):
                raise SettingError(f"{flag} takes numbers from 0: got {word!r}", f"write e.g. {flag} 0,17")
        return tuple(dict.fromkeys(map(int, words)))
    return tuple(words)


def _pair(flag: str, word: str, *, number: bool) -> tuple[str, str | float]:
    """Return the two sides of ``RULE=VALUE``; a number may be a percentage."""
    left, equals, right = (part.strip() for part in word.partition("="))
    if not (equals and left and right):
        raise SettingError(f"{flag} takes RULE=VALUE: got {word!r}", f"write e.g. {flag} DA101=…")
    if not number:
        return left, right
    try:
        return left, float(right.removesuffix("%")) / (100 if right.endswith("%") else 1)
    except ValueError as error:
        what = f"the limit of {left} is no number: got {right!r}"
        raise SettingError(what, "write e.g. 0.05 or 5%") from error

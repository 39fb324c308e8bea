"""Functions of a group of options that take the options as keywords, too.

People write ``audit_labels(source, label="y", top=20)``; the command line, which has a group already, hands
it over: ``audit_labels(source, options)``. Type checkers see both: the keywords are those of the group's own
constructor. At run time the signature and the documentation are made of the group's fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from inspect import Parameter, cleandoc, formatannotation, signature
from pathlib import Path
from textwrap import fill, indent
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from dataaudit.errors import closest
from dataaudit.memory import limited
from dataaudit.options import Options, StepCallback, is_module, options_of

P = ParamSpec("P")
Group = TypeVar("Group", bound=Options)
Group_contra = TypeVar("Group_contra", bound=Options, contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Single(Protocol[P, Group_contra, R_co]):
    """A function of one source."""

    @overload
    def __call__(
        self, source: Any, options: Group_contra, *, on_step: StepCallback = ..., checkpoint: Path = ...
    ) -> R_co: ...
    @overload
    def __call__(self, source: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class Paired(Protocol[P, Group_contra, R_co]):
    """A function of training and test rows."""

    @overload
    def __call__(
        self,
        train: Any,
        test: Any,
        options: Group_contra,
        *,
        on_step: StepCallback = ...,
        checkpoint: Path = ...,
    ) -> R_co: ...
    @overload
    def __call__(self, train: Any, test: Any = None, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


def single(group: Callable[P, Group]) -> Callable[[Callable[[Any, Group], R]], Single[P, Group, R]]:
    """Let a function of a source and a group take the options as keywords."""
    return lambda function: _with_keywords(group, function)


def paired(group: Callable[P, Group]) -> Callable[[Callable[[Any, Any, Group], R]], Paired[P, Group, R]]:
    """Let a function of training rows, test rows and a group take the options as keywords."""
    return lambda function: _with_keywords(group, function)


def _with_keywords(group: Any, function: Callable[..., Any]) -> Any:
    first, *rest = signature(function).parameters.values()
    sources = [first, *(one.replace(default=None) for one in rest[:-1])]
    keywords = sorted(signature(group).parameters.values(), key=lambda one: one.default is not one.empty)
    fields = {one.name: _plain(one) for one in keywords}
    fields["command"] = fields["command"].replace(default=f"dataaudit.{function.__name__}")
    full = signature(function).replace(parameters=[*sources, *fields.values()])

    def run(*given: Any) -> Any:
        if is_module(getattr(given[-1], "model", None)):
            from dataaudit.training.networks.network import framed

            tables, model = framed(given[:-1], given[-1].model)
            given = (*tables, replace(given[-1], model=model))
        with limited(given[-1].limit):
            return function(*given)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[-1], group):
            return run(*args[:-1], replace(args[-1], **kwargs))
        for name in kwargs.keys() - full.parameters.keys():
            near = closest(name, full.parameters)
            hint = f": did you mean {near!r}?" if near else ""
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}{hint}")
        if is_module(kwargs.get("model")) and isinstance(args[0] if args else None, tuple | list):
            kwargs = {"label": "label"} | kwargs  # of inputs and targets, which have no columns
        bound = full.bind(*args, **kwargs)
        bound.apply_defaults()
        given = [bound.arguments.pop(one.name) for one in sources]
        return run(*given, group(**bound.arguments))

    call.__signature__ = full  # type: ignore[attr-defined]
    call.__doc__ = _documented(function.__doc__ or "", group, fields)
    return call


def _plain(one: Parameter) -> Parameter:
    return one.replace(annotation=getattr(one.annotation, "__origin__", one.annotation))


def _documented(text: str, group: Any, fields: dict[str, Parameter]) -> str:
    """Put the options in the place of the line ``options :`` and its explanation."""
    before, _, after = cleandoc(text).partition("options :")
    _, _, rest = after.partition("\n\n")
    lines = []
    by_name = {option.name: option.opt for option in options_of(group)}
    for one in fields.values():
        if one.name in by_name:
            opt, kind = by_name[one.name], formatannotation(one.annotation).replace("collections.abc.", "")
            lines += [f"{one.name} : {kind}", indent(fill(f"{opt.help} {opt.python}".strip(), 100), " " * 4)]
    lines += ["command : str", "    How it was called, for the provenance."]
    lines += ["on_step : callable, optional", "    Called with (stage, done, total)."]
    return "\n".join([before.rstrip(), *lines, "", rest])

"""Nothing grows past what fits on a screen; what does is listed here with its reason."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "dataaudit").rglob("*.py"))
MODULE_LINES, BODY_LINES, HARD_BODY_LINES, LONG_LINES, ARGUMENTS = 1000, 40, 60, 50, 6
POSITIONAL, OPERANDS = 2, 3

# path or path::function → why it may be larger; an entry that is no longer needed fails the test
MODULE_EXCEPTIONS: dict[str, str] = {}
BODY_EXCEPTIONS: dict[str, str] = {}
ARGUMENT_EXCEPTIONS: dict[str, str] = {
    "dataaudit/api/influence.py::__init__": "settings of a classifier and of a module under one name",
    "dataaudit/api/influence.py::__new__": "the same",
    "dataaudit/api/audits.py::audit_labels": "the Python twin of a command: one argument an option",
    "dataaudit/api/audits.py::explain": "the Python twin of a command: one argument an option",
    "dataaudit/api/audits.py::vulnerability": "the Python twin of a command: one argument an option",
    "dataaudit/api/audits.py::audit_mismatch": "the Python twin of a command: one argument an option",
}
COMMANDS = "dataaudit/cli/"  # Typer reads options off the signature: one argument an option, all by keyword


def _name(path):
    return path.relative_to(ROOT).as_posix()


def _functions():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{_name(path)}::{node.name}", node


def _body_lines(function):
    """Count lines of the body, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def _too_many_arguments(function):
    """Six at most; whatever has a default goes by keyword after the second, and so does a public fourth."""
    arguments = function.args
    positional = [a.arg for a in (*arguments.posonlyargs, *arguments.args) if a.arg not in ("self", "cls")]
    if len(positional) + len(arguments.kwonlyargs) > ARGUMENTS:
        return "more than 6 arguments"
    if function.name.startswith("_"):  # also Python's own signatures: __exit__
        return None
    if len(positional) > OPERANDS or (len(positional) > POSITIONAL and arguments.defaults):
        return "positional arguments after the second"
    return None


FUNCTIONS = list(_functions())


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_fits(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert (lines > MODULE_LINES) == (_name(path) in MODULE_EXCEPTIONS), (
        f"{lines} lines, {MODULE_LINES} allowed"
    )


def test_function_bodies_fit_a_screen():
    sizes = {name: _body_lines(node) for name, node in FUNCTIONS}
    over = {name: size for name, size in sizes.items() if size > BODY_LINES}
    assert over.keys() == BODY_EXCEPTIONS.keys(), f"longer than {BODY_LINES} lines: {over}"
    assert not [name for name, size in over.items() if size > HARD_BODY_LINES]
    assert sum(size > LONG_LINES for size in sizes.values()) <= 0.03 * len(sizes)


def test_functions_take_few_arguments_and_name_them():
    wrong = {name: _too_many_arguments(node) for name, node in FUNCTIONS}
    wrong = {name: why for name, why in wrong.items() if why and not name.startswith(COMMANDS)}
    assert wrong.keys() == ARGUMENT_EXCEPTIONS.keys() & {name for name, _ in FUNCTIONS}, wrong


def test_no_arguments_are_passed_through():
    """No **kwargs: a reader must see what a function takes."""
    through = [name for name, node in FUNCTIONS if node.args.kwarg]
    assert through == []


def test_no_drawer_for_odds_and_ends():
    assert not [_name(path) for path in MODULES if path.stem in ("utils", "helpers", "misc")]

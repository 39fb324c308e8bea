"""Nothing grows past what a person can hold in mind: the package, a folder, a module, a function."""

import ast
import warnings
from collections import Counter

from house import DOORS, FUNCTIONS, MODULES, keeps

# Of the package: the house at 36,000, and what it learned to read and to tell since.
FILES, LINES = 320, 63_400
IN_FOLDER, AT_ROOT = 15, 9
MODULE, LONG_MODULE, SHORT_MODULE = 600, 400, 60  # at most, warned from, at least
BODY, LONG_BODY, LONG_SHARE = 60, 40, 0.03
ARGUMENTS, POSITIONAL, OPERANDS = 6, 2, 3
COMMANDS = "cli/"  # Typer reads options off the signature: one argument an option, all by keyword


def test_the_package_fits():
    assert keeps(
        "package", _over({"files": (len(MODULES), FILES), "lines": (sum(m.lines for m in MODULES), LINES)})
    )


def test_folders_fit():
    sizes = Counter(module.place.rpartition("/")[0] or "." for module in MODULES)
    assert keeps("folders", _over({f: (n, AT_ROOT if f == "." else IN_FOLDER) for f, n in sizes.items()}))


def test_modules_are_neither_too_long_nor_too_short():
    files = [module for module in MODULES if module.path.stem not in DOORS]
    assert keeps("long modules", _over({m.place: (m.lines, MODULE) for m in MODULES}))
    assert keeps("short modules", {m.place: f"has {m.lines} lines" for m in files if m.lines < SHORT_MODULE})


def test_modules_that_grow_long_are_named():
    long = [f"{m.place} {m.lines}" for m in MODULES if LONG_MODULE < m.lines <= MODULE]
    if long:  # shown in pytest's list of warnings; it stops nobody
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn(
                f"{len(long)} modules have more than {LONG_MODULE} lines: {', '.join(long)}", stacklevel=1
            )


def test_functions_fit_a_screen():
    sizes = {name: _body_lines(node) for name, node in FUNCTIONS}
    assert keeps("long functions", _over({name: (size, BODY) for name, size in sizes.items()}))
    long = [f"{name} {size}" for name, size in sizes.items() if size > LONG_BODY]
    assert len(long) <= LONG_SHARE * len(sizes), long


def test_functions_take_few_arguments_and_name_them():
    wrong = {name: _too_many_arguments(node) for name, node in FUNCTIONS}
    assert keeps("arguments", {k: why for k, why in wrong.items() if why and not k.startswith(COMMANDS)})


def test_no_arguments_are_passed_through():
    """No **kwargs: a reader must see what a function takes."""
    assert keeps("passed through", {name for name, node in FUNCTIONS if node.args.kwarg})


def _over(sizes):
    return {name: f"has {size:,}, at most {most:,}" for name, (size, most) in sizes.items() if size > most}


def _body_lines(function):
    """Count lines of the body, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def _too_many_arguments(function):
    """Six at most; whatever has a default goes by keyword after the second, and so does a public fourth."""
    arguments = function.args
    positional = [a.arg for a in (*arguments.posonlyargs, *arguments.args) if a.arg not in ("self", "cls")]
    if len(positional) + len(arguments.kwonlyargs) > ARGUMENTS:
        return f"has more than {ARGUMENTS} arguments"
    if function.name.startswith("_"):  # also Python's own signatures: __exit__
        return None
    if len(positional) > OPERANDS or (len(positional) > POSITIONAL and arguments.defaults):
        return "has positional arguments after the second"
    return None

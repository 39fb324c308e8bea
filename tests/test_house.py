"""What a name says, where a docstring is long, which words are used, and that nothing is said twice."""

import ast
import inspect
import re

from house import FUNCTIONS, MODULES, PACKAGE, ROOT, keeps

import dataaudit

LEFT_OVERS = {
    "utils",
    "util",
    "helpers",
    "helper",
    "misc",
    "tools",
    "stuff",
    "things",
    "other",
    "more",
    "rest",
}
LEFT_OVERS |= {
    "again",
    "asked",
    "found",
    "given",
    "held",
    "shown",
    "told",
    "wanted",
    "apart",
    "extra",
    "various",
}
SECTION = re.compile(
    r"^ *(Parameters|Returns|Yields|Raises|Attributes|Notes|Examples|See Also) *\n *-{3,}$", re.MULTILINE
)

# The old dialect, and what the house says for it.
DIALECT = {
    "told(?! apart)|untold|telltale": "said, shown, reported",
    "veil|veils|veiled|veiling|unveil": "redact",
    "mend|mends|mended|mending": "fix",
    "beside": "next to, besides",
    "(?<!there )(?-i:is none)": "there is no …",
    "overturn|overturns|overturned": "flip",
    "spoilt|spoiled|unspoilt": "harmed",
    "toll": "harm",
    "remedied": "fixed",
    "and its like|and their like": "name the thing",
    "mood": "order",
    "strangers": "untrusted text",
}
TEXTS = ("dataaudit/**/*.py", "reports/*.j2", "reports/*.js", "rules/*.toml")


def test_no_file_is_named_by_what_is_left_over():
    assert keeps("left-overs", {m.place for m in MODULES if m.path.stem in LEFT_OVERS})


def test_the_words_are_those_of_the_glossary():
    """In messages, docstrings, comments and names: `_` and a capital end a word too."""
    old = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(DIALECT)})(?![a-z])", re.IGNORECASE)
    found = {}
    for pattern in TEXTS:
        for path in sorted(ROOT.glob(pattern)):
            words = {word.lower() for word in old.findall(path.read_text(encoding="utf-8"))}
            found |= {f"{path.relative_to(ROOT).as_posix()}: {word}": "" for word in sorted(words)}
    assert keeps("words", found)


def test_sections_of_numpydoc_are_for_what_is_public():
    assert keeps("docstrings", {name for name, text in _docstrings() if SECTION.search(text)} - _public())


def test_what_is_public_says_its_parameters():
    silent = set()
    for name in set(dataaudit.__all__) - {"__version__"}:
        public = getattr(dataaudit, name)
        taken = not _is_error(public) and inspect.signature(public).parameters
        silent |= {name} if taken and not SECTION.search(inspect.getdoc(public)) else set()
    assert keeps("undocumented", silent)


def test_tests_mirror_the_package():
    """A file of tests is of the module of its name, or has a theme that is said with the exceptions."""
    tests = [path.relative_to(ROOT / "tests") for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    named = [path for path in tests if len(path.parts) > 1]  # at the root they are of the whole house
    themes = {
        path.as_posix()
        for path in named
        if not (PACKAGE / path.parent / path.name.removeprefix("test_")).exists()
    }
    assert keeps("themes of tests", themes)


def test_an_option_is_said_once():
    """In options/: elsewhere in the API and the command line no parameter repeats its default."""
    fields = set()
    for node in ast.walk(ast.parse((PACKAGE / "options" / "groups.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and any(
            ast.unparse(base).endswith("Options") for base in node.bases
        ):
            fields |= {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}
    assert keeps("no options", set() if len(fields) >= 40 else {"options/groups.py"})
    again: dict[str, set[str]] = {}
    for name, node in FUNCTIONS:
        if name.startswith(("api/", "cli/")) and (said := _with_defaults(node.args) & fields):
            again.setdefault(".".join(name.split(".")[:2]), set()).update(said)  # of a class, its name
    assert keeps("options", {name: f"says {', '.join(sorted(said))}" for name, said in again.items()})


def _is_error(public):
    return isinstance(public, type) and issubclass(public, Exception)


def _with_defaults(arguments):
    positional = [*arguments.posonlyargs, *arguments.args]
    given = positional[len(positional) - len(arguments.defaults) :]
    named = [a for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default]
    return {argument.arg for argument in (*given, *named)}


def _docstrings():
    """Yield the docstrings of functions and classes, by name from the module on."""
    for module in MODULES:
        yield from _within(module.tree, f"{module.place}::")


def _within(node, before):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield before + child.name, ast.get_docstring(child) or ""
            yield from _within(child, f"{before}{child.name}.")


def _public():
    """Return the names in `dataaudit.__all__` and their public methods, also of the classes they extend."""
    names = set()
    for public in (getattr(dataaudit, name) for name in dataaudit.__all__ if name != "__version__"):
        for owner in public.__mro__ if isinstance(public, type) else (public,):
            if not owner.__module__.startswith("dataaudit."):
                continue
            home = _place(owner.__module__)
            names.add(f"{home}::{owner.__qualname__}")
            names |= {f"{home}::{owner.__qualname__}.{name}" for name in vars(owner) if _is_public(name)}
    return names


def _is_public(name):
    return not name.startswith("_") or name in ("__init__", "__call__", "__new__")


def _place(module):
    [place] = [m.place for m in MODULES if m.name == module]
    return place

"""What the tests of the house rules look at: every module of the package, read once, and the exceptions.

An exception stands in ``exceptions.toml``, below its rule: ``"path" = "reason"``. One that is not needed any
more fails its test as a new offence does.
"""

import ast
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dataaudit"
EXCEPTIONS = tomllib.loads((ROOT / "tests" / "exceptions.toml").read_text(encoding="utf-8"))
DOORS = ("__init__", "__main__")  # of a folder, of the command


@dataclass(frozen=True)
class Module:
    path: Path

    @cached_property
    def place(self):
        """Its path from the package, as exceptions name it."""
        return self.path.relative_to(PACKAGE).as_posix()

    @cached_property
    def name(self):
        return f"dataaudit.{self.place.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")

    @cached_property
    def stage(self):
        """The top folder, or the module at the root."""
        return self.name.split(".")[1] if "." in self.name else "__init__"

    @cached_property
    def text(self):
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def lines(self):
        return len(self.text.splitlines())

    @cached_property
    def tree(self):
        return ast.parse(self.text)

    @cached_property
    def imports(self):
        """Every module that is imported, also inside functions."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.place}: relative imports hide the stages"
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= (inner & NAMES) or {node.module}
        return found

    @cached_property
    def inside(self):
        """The imported modules that are the package's own."""
        return (self.imports & NAMES) - {self.name}

    @cached_property
    def functions(self):
        """Every function and method, with its name from the module on."""
        return list(_functions(self.tree, f"{self.place}::"))


def _functions(node, before):
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if named and not isinstance(child, ast.ClassDef):
            yield before + child.name, child
        yield from _functions(child, f"{before}{child.name}." if named else before)


MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]
NAMES = {module.name for module in MODULES}
FUNCTIONS = [pair for module in MODULES for pair in module.functions]


def keeps(rule, offences):
    """Whether nothing offends but what is excepted, and every exception is needed."""
    allowed = EXCEPTIONS.get(rule, {})
    offences = offences if isinstance(offences, dict) else dict.fromkeys(offences, "")
    new = [f"{name} {what}".strip() for name, what in offences.items() if name not in allowed]
    stale = [f"{name} is no exception any more" for name in allowed if name not in offences]
    assert new + stale == [], f"{rule}: see tests/exceptions.toml: {new + stale}"
    return True

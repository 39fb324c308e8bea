"""One public list: sorted, complete, and cheap to import."""

import inspect
import subprocess
import sys

import dataaudit
from dataaudit import errors


def test_list_is_sorted_and_each_name_is_there():
    assert dataaudit.__all__ == sorted(dataaudit.__all__)
    for name in dataaudit.__all__:
        assert getattr(dataaudit, name) is not None
    assert set(dataaudit.__all__) <= set(dir(dataaudit))


def test_every_error_is_public():
    tree = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert tree <= set(dataaudit.__all__)
    assert all(issubclass(getattr(dataaudit, name), dataaudit.AuditError) for name in tree)
    assert all(name in (errors.__doc__ or "") for name in tree), "the tree in the docstring is whole"


def test_every_public_name_is_documented():
    for name in set(dataaudit.__all__) - {"__version__"}:
        assert inspect.getdoc(getattr(dataaudit, name)), name


def test_unknown_names_are_attribute_errors():
    assert not hasattr(dataaudit, "audit_lables")


def test_version_is_the_installed_one():
    assert dataaudit.__version__.count(".") == 2


def test_import_is_cheap():
    heavy = "torch", "sklearn", "scipy", "polars", "pandas", "pyarrow", "typer", "rich"
    code = f"import sys, dataaudit; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

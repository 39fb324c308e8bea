"""Every option is said once: what Python, the command line, the file and the provenance make of its field."""

import ast
import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dataaudit
from dataaudit.errors import SettingError
from dataaudit.gate.settings import CheckSettings, DatasetSettings
from dataaudit.options import (
    ColumnOptions,
    EncoderOptions,
    ExplainOptions,
    LabelOptions,
    Limits,
    MismatchOptions,
    PairOptions,
    TrainingOptions,
    VulnerabilityOptions,
    options_of,
)

PACKAGE = Path(dataaudit.__file__).parent
GROUPS = [LabelOptions, MismatchOptions, ExplainOptions, VulnerabilityOptions]
SAID = {ExplainOptions: {"row": 3}}
# `verify` of a folder of findings has a `top` of its own; `model` of a repair is a question of yes or no.
OF_THEIR_OWN = {
    ("audits.py", "verify", "top"),
    ("audits.py", "sample", "seed"),
    ("repair.py", "apply", "model"),
}


def made(group, **said):
    return group(**{"label": "y", **SAID.get(group, {}), **said})


@pytest.mark.parametrize("group", GROUPS)
def test_what_a_provenance_keeps_is_read_again(group):
    asked = made(group, text=["a", "b"], seed=7, l2=0.5)
    kept = asked.to_dict() | {"source": ["a.csv"], "unjudged": {}}
    assert group.from_dict(kept) == asked
    as_json = {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()}
    assert group.from_dict(as_json) == asked


def test_settings_of_the_released_code_are_read():
    columns = {"text": ["body"], "features": [], "exclude": [], "categorical": [], "text_features": "counts"}
    more = {"max_levels": 100, "min_df": 2, "counts_min_df": 5}
    known = {"label": "y", "id_column": "id", "weight": None, "columns": columns | more, "basis": "auto"}
    asked = LabelOptions.from_dict(known | {"l2": 0.1, "solver": "auto", "verify": 12, "top": 100, "seed": 0})
    assert asked == LabelOptions(label="y", id="id", text="body", text_features="counts", l2=0.1)
    unsaid = dict.fromkeys(("features", "exclude", "categorical"), ())
    expected = columns | more | unsaid | {"text": ("body",), "text_units": "auto"}
    assert asked.to_dict()["columns"] == expected
    kept = VulnerabilityOptions(label="y", swaps=2).to_dict()
    assert kept["limits"] == {"within": 0.1, "swaps": 2, "words": 3}


def test_own_models_are_kept_by_name_only():
    class Own:
        pass

    asked = ExplainOptions(label="y", row=1, model=Own(), versus=Own())
    assert list(asked.named) == ["own Own", "own Own (2)"]
    kept = asked.to_dict()
    assert (kept["model"], kept["versus"]) == ("own Own", "own Own (2)")
    assert kept["fitted"] == ("own Own", "own Own (2)")
    assert LabelOptions(label="y", model=Own()).to_dict()["model"] == "logistic"


@pytest.mark.parametrize(
    ("group", "said", "message"),
    [
        (LabelOptions, {"top": -1}, "top must be 0 or more: got -1. Hint: leave it out."),
        (LabelOptions, {"top": 1.5}, "top must be a whole number: got 1.5"),
        (LabelOptions, {"model": "svn"}, "unknown model: got 'svn'. Hint: did you mean 'svm'?"),
        (LabelOptions, {"rank": "loss"}, "unknown rank: got 'loss'"),
        (LabelOptions, {"l2": 0}, "l2 must be above 0: got 0"),
        (LabelOptions, {"damping": -1}, "damping must be 0 or more: got -1"),
        (LabelOptions, {"solver": "cg"}, "solver 'cg' has no leave-one-out of every row"),
        (MismatchOptions, {"solver": "cgg"}, "unknown solver: got 'cgg'. Hint: did you mean 'cg'?"),
        (LabelOptions, {"basis": "splines"}, "unknown basis: got 'splines'. Hint: did you mean 'spline'?"),
        (LabelOptions, {"label": 3}, "label must be text: got 3"),
        (LabelOptions, {"text": [3]}, "text must be text: got 3"),
        (LabelOptions, {"text": "a", "categorical": "a"}, "column 'a' is named under both text and"),
        (LabelOptions, {"refit": True}, "refit is for a fitted model: got none"),
        (LabelOptions, {"model": "rbf-svm", "basis": "linear"}, "rbf-svm is a basis of its own"),
        (MismatchOptions, {"rows": [-1]}, "rows must be 0 or more: got -1"),
        (MismatchOptions, {"memory": 5}, "memory must be"),
        (MismatchOptions, {"test_size": 0.0}, "test_size must be above 0: got 0"),
        (MismatchOptions, {"test_size": 0.5, "split_column": "s"}, "split_column and test_size both split"),
        (VulnerabilityOptions, {"within": 2}, "within must be from 0 to 1: got 2"),
        (ExplainOptions, {"row": None}, "one test row must be named: got neither row nor row_id"),
        (ExplainOptions, {"versus": "logistic"}, "both models are logistic: there is nothing to compare"),
        (ExplainOptions, {"flip": "sign"}, "there is no such conclusion to flip: got 'sign'"),
        (
            ExplainOptions,
            {"flip": "prediction", "model": "svm"},
            "flip is searched for a logistic regression",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(group, said, message):
    with pytest.raises(SettingError) as error:
        made(group, **said)
    assert str(error.value).startswith(message)


def test_one_name_or_number_needs_no_list():
    assert made(LabelOptions, text="a").text == ("a",)
    for rows in (3, [3], np.array([3]), np.int64(3)):
        assert made(MismatchOptions, rows=rows).numbers == (3,)


def test_a_machine_of_its_own_basis_is_told_so():
    asked = ExplainOptions(label="y", row=1, model="rbf-svm", versus="logistic")
    assert [asked.of_model(name).basis for name in asked.named] == ["auto", "linear"]


def test_a_smaller_group_is_part_of_a_larger_one():
    asked = made(VulnerabilityOptions, text="a", swaps=5)
    assert asked.columns == EncoderOptions(text="a")
    assert asked.part(Limits) == Limits(swaps=5)
    assert replace(asked, swaps=0).part(ColumnOptions) == ColumnOptions(text="a")


CALLS = [
    (dataaudit.audit_labels, LabelOptions),
    (dataaudit.audit_mismatch, MismatchOptions),
    (dataaudit.explain, ExplainOptions),
    (dataaudit.vulnerability, VulnerabilityOptions),
]


@pytest.mark.parametrize(("call", "group"), CALLS, ids=[call.__name__ for call, _ in CALLS])
def test_the_signature_and_the_documentation_are_those_of_the_fields(call, group):
    parameters = inspect.signature(call).parameters
    for option in options_of(group):
        if option.init:
            assert parameters[option.name].kind is inspect.Parameter.KEYWORD_ONLY
            assert f"\n{option.name} : " in call.__doc__
    assert parameters["label"].default is inspect.Parameter.empty
    assert parameters["command"].default == f"dataaudit.{call.__name__}"
    assert "Examples\n--------" in call.__doc__
    with pytest.raises(TypeError, match="lable"):
        call("a.csv", lable="y")


def _parameters(path):
    """Yield the function and the name of each parameter with a default that is no group and no alias."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            for argument, default in pairs:
                if default is not None and not isinstance(argument.annotation, ast.Name):
                    yield path.name, node.name, argument.arg


def test_no_option_is_declared_again():
    names = {option.name for group in GROUPS for option in options_of(group)}
    files = [*(PACKAGE / "api").glob("audits.py"), *(PACKAGE / "cli").glob("*.py")]
    again = {found for path in files for found in _parameters(path) if found[2] in names}
    assert again <= OF_THEIR_OWN, again


def test_every_option_says_what_it_is():
    groups = (*GROUPS, TrainingOptions, PairOptions, EncoderOptions, CheckSettings, DatasetSettings)
    for group in groups:
        for option in options_of(group):
            assert option.opt.help.endswith("."), option.name

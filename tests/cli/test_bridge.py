"""A command is made of its groups: panels, flags, bounds, lists, sizes, and what was said."""

from collections.abc import Sequence
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

from dataaudit.cli.bridge import Arg, Said, command
from dataaudit.errors import SettingError
from dataaudit.gate.settings import CheckSettings
from dataaudit.options import INPUT, MODEL, Numbers, Opt, Options, parse_size


class Some(Options):
    """A group."""

    label: Annotated[str, Opt("The label.", INPUT, flags="--label -l")]
    text: Annotated[Sequence[str], Opt("Texts.", INPUT)] = ()
    rows: Annotated[Numbers, Opt("Rows.", MODEL)] = ()
    memory: Annotated[int, Opt("Room.", MODEL, kind="size", shown="1GiB")] = 2**30
    shape: Annotated[Literal["flat", "round"], Opt("Shape.", MODEL)] = "flat"
    hidden: Annotated[int, Opt("Python only.")] = 3
    command: str = ""


def run(function, *words, **defaults):
    app, seen = typer.Typer(), {}

    def keep(**given):
        seen.update(given)

    keep.__signature__ = __import__("inspect").signature(function, eval_str=True)
    app.command()(command(**defaults)(keep))
    result = CliRunner().invoke(app, list(words), obj="audit x", catch_exceptions=False)
    return result, seen


def one(
    source: Annotated[str, Arg("Data.", metavar="SOURCE")],
    options: Some,
    *,
    top: Annotated[int, Opt("Rows to show.", least=1)] = 5,
): ...


def test_options_reach_their_group_and_the_rest_their_parameter():
    words = ["a.csv", "-l", "y", "--text", "a,b", "--text", "c", "--rows", "3,4,3", "--memory", "2KiB"]
    _, seen = run(one, *words, "--top", "7")
    assert (seen["source"], seen["top"]) == ("a.csv", 7)
    expected = Some(label="y", text=("a", "b", "c"), rows=(3, 4), memory=2048, command="audit x")
    assert seen["options"] == expected


def test_defaults_are_those_of_the_fields_and_of_the_command():
    _, seen = run(one, "a.csv", "--label", "y", shape="round")
    assert seen["options"] == Some(label="y", shape="round", command="audit x")


def test_help_has_panels_bounds_and_choices():
    text = run(one, "--help")[0].output
    for words in ("SOURCE", "Input", "Model", "--label", "-l", "Repeatable, or a,b.", "Repeatable, or 1,2,3.",
                  "<flat|round>", "[x>=1]", "1GiB", "COLUMN"):  # fmt: skip
        assert words in text, words
    assert "hidden" not in text
    assert text.index("Input") < text.index("Model")


@pytest.mark.parametrize("words", [["--rows", "x"], ["--memory", "much"]])
def test_what_is_no_number_and_no_size_is_refused(words):
    with pytest.raises(SettingError, match=words[0]):
        run(one, "a.csv", "-l", "y", *words)


def test_what_was_not_said_is_left_out():
    def check(values: Annotated[Said, CheckSettings, "select limits severity fail_on"]): ...

    assert run(check)[1] == {"values": {}}
    words = ["--select", "DA1,DA2", "--limit", "DA101=5%", "--severity", "DA201=note", "--fail-on", "note"]
    assert run(check, *words)[1]["values"] == {
        "select": ("DA1", "DA2"),
        "limits": {"DA101": 0.05},
        "severity": {"DA201": "note"},
        "fail-on": "note",
    }
    with pytest.raises(SettingError, match="--limit takes RULE=VALUE: got 'DA101'"):
        run(check, "--limit", "DA101")
    with pytest.raises(SettingError, match="the limit of DA101 is no number: got 'x'"):
        run(check, "--limit", "DA101=x")


@pytest.mark.parametrize(
    ("text", "size"), [("512MiB", 2**29), ("2 GB", 2 * 10**9), ("1.5g", 1.5 * 2**30), ("7", 7), ("1kb", 1000)]
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text, "memory") == size

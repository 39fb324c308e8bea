"""What the README tells people to type exists, and so does what it points to."""

import ast
import inspect
import re
import shlex
from operator import attrgetter
from pathlib import Path

import pytest
import typer

import dataaudit
from dataaudit.cli.app import tree
from dataaudit.findings.schemas import KINDS

ROOT = Path(__file__).resolve().parents[1]
GENERATED = {
    "rules.md",
    "commands.md",
    "python.md",
    *(f"{kind}.schema.json" for kind in KINDS),
}  # by generate.py
DOCS = sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md") if page.name not in GENERATED)
PAGES = ["README.md", "CONTRIBUTING.md", *DOCS]
COMMANDS = typer.main.get_command(tree()).commands


def _blocks(page, language=""):
    text = (ROOT / page).read_text(encoding="utf-8")
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for named, block in fences if named == language]


def _lines():
    """Yield every command line in a block without a language, without what it is piped into."""
    for page in PAGES:
        for block in _blocks(page):
            for line in block.splitlines():
                yield from re.findall(r"(?:^|\| )((?:audit|make) [^|#]+)", line)


def _spans(begin):
    return [
        span
        for page in PAGES
        for span in re.findall(f"`({begin}[^`]*)`", (ROOT / page).read_text(encoding="utf-8"))
    ]


def _audits():
    lines = [line for line in _lines() if line.startswith("audit ")]
    return sorted({*lines, *_spans("audit [a-z]")})


@pytest.mark.parametrize("line", _audits())
def test_commands_and_options_exist(line):
    _, name, *words = shlex.split(line)
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts} | {"--help", "-h"}
    assert {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} <= known


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = {line.split()[1] for line in _lines() if line.startswith("make ")}
    assert {"demo", "test"} <= used <= targets
    assert (ROOT / "README.md").read_text(encoding="utf-8").index("make demo") < 300, "first things first"


def test_options_named_in_prose_exist():
    known = {
        option for command in COMMANDS.values() for parameter in command.params for option in parameter.opts
    }
    assert {re.match(r"[\w-]+", span)[0] for span in _spans("--[a-z]")} <= known | {"--help"}


def test_what_is_covered_exists():
    page = (ROOT / "docs/covered.md").read_text(encoding="utf-8")
    named = re.findall(r"`(?:dataaudit\.)?((?:Module)?Influence\.\w+|(?<=dataaudit\.)\w+)", page)
    assert len(named) >= 15
    assert [attrgetter(name)(dataaudit) for name in named]


@pytest.mark.parametrize("page", PAGES)
def test_files_named_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    paths = re.findall(r"`((?:dataaudit|tests|examples|docs|rules|reports)/[\w/.]*)`", text)
    assert links or paths or page in DOCS
    gone = [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert set(gone) <= (GENERATED if page in DOCS else set())
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_tables_named_are_the_ones_written():
    from dataaudit.findings import schemas

    said = [(ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("labels.md", "why.md")]
    named = set(re.findall(r"`(\w+)\.parquet`", "".join(said)))
    known = set(schemas.Findings.SCHEMAS)
    assert known <= named <= known | set(schemas.MismatchFindings.SCHEMAS)
    assert {"traces", "slices", "features", "fixes", "shift"} <= named


def test_columns_named_are_there():
    from dataaudit.findings.schemas import LABELS

    named = re.findall(
        r"^- `(\w+)`(?:, `(\w+)`)?:", (ROOT / "docs/labels.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name for pair in named for name in pair if name} <= set(LABELS)
    assert len(named) >= 4


@pytest.mark.parametrize("block", [block for page in PAGES for block in _blocks(page, "python")])
def test_python_calls_public_names_with_their_arguments(block):
    calls = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]
    ours = [call for call in calls if re.fullmatch(r"dataaudit\.\w+", ast.unparse(call.func))]
    assert ours or "import polars" in block
    for call in ours:
        assert call.func.attr in dataaudit.__all__
        parameters = inspect.signature(getattr(dataaudit, call.func.attr)).parameters
        assert {keyword.arg for keyword in call.keywords} <= set(parameters)

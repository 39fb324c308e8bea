"""The command tree: which commands there are, and the options that belong to none of them."""

from __future__ import annotations

from typing import Annotated

import typer

from dataaudit.cli.audits import explain, labels, mismatch, plan, verify, vulnerability
from dataaudit.cli.baseline import baseline
from dataaudit.cli.check import check, config, rule
from dataaudit.cli.demo import demo
from dataaudit.cli.init import init
from dataaudit.cli.repair import apply, import_, undo
from dataaudit.cli.report import export, report
from dataaudit.cli.review import learn, review

EPILOG = "Example: audit labels mail.parquet --label label --text text"
_ABOUT = "Find training rows whose labels are wrong, or that make predictions wrong, and show why."
COMMANDS = {
    labels: EPILOG,
    plan: "Example: audit plan mail.parquet --label label --text text --memory 2GiB",
    mismatch: "Example: audit mismatch train.csv test.csv --label y --out why",
    explain: "Example: audit explain train.csv test.csv --label y --row 17",
    vulnerability: "Example: audit vulnerability train.csv test.csv --label y",
    verify: "Example: audit verify audit-findings --top 50",
    review: "Example: audit review audit-findings --sample 100",
    learn: "Example: audit learn audit-findings decisions.jsonl",
    apply: "Example: audit apply audit-findings decisions.jsonl mail.csv -o mail.fixed.csv",
    report: "Example: audit report audit-findings -o report.md",
    export: "Example: audit export audit-findings --to labelstudio -o tasks.json",
    import_: "Example: audit import export.json audit-findings",
    undo: "Example: audit undo mail.fixed.csv.journal.jsonl -o mail.back.csv",
    demo: "Example: audit demo --out audit-demo",
    init: "Example: audit init --dry-run",
    check: "Example: audit check train.csv --label y --base origin/main:train.csv",
    rule: "Example: audit rule DA101",
}
GROUPS = {"baseline": baseline, "config": config}


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"audit {version('dataaudit')}")
        raise typer.Exit


def _settle(
    *,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None:
    """Find training rows whose labels are wrong, or that make predictions wrong, and show why."""
    del version, debug  # the first acts when it is read, the second is `main`'s


def tree(word: str = "") -> typer.Typer:
    """Return the command tree; given the command that is asked for, the others have no options."""
    app = typer.Typer(
        name="audit",
        help=_ABOUT,
        epilog=EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_settle)
    for function, epilog in COMMANDS.items():
        name = function.__name__.rstrip("_")  # import is a word of Python
        asked = word in ("", name)
        app.command(name, help=function.__doc__, epilog=epilog)(function if asked else _nothing)
    for name, group in GROUPS.items():
        if word in ("", name):
            app.add_typer(group, name=name)
        else:
            app.command(name, help=group.info.help)(_nothing)
    return app


def _nothing() -> None: ...

"""The command tree: which commands there are, and the options that belong to none of them."""

from __future__ import annotations

from typing import Annotated

import typer

from dataaudit.cli.audits import explain, labels, mismatch, verify, vulnerability
from dataaudit.cli.baseline import baseline
from dataaudit.cli.check import check, config, rule
from dataaudit.cli.demo import demo
from dataaudit.cli.init import init
from dataaudit.cli.repair import apply, undo
from dataaudit.cli.report import export, report
from dataaudit.cli.review import review

EPILOG = "Example: audit labels mail.parquet --label label --text text"

app = typer.Typer(
    name="audit",
    help="Find training rows whose labels are wrong, or that make predictions wrong, and show why.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"audit {version('dataaudit')}")
        raise typer.Exit


@app.callback()
def settle(
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


app.command(epilog=EPILOG)(labels)
app.command(epilog="Example: audit mismatch train.csv test.csv --label y --out why")(mismatch)
app.command(epilog="Example: audit explain train.csv test.csv --label y --row 17")(explain)
app.command(epilog="Example: audit vulnerability train.csv test.csv --label y")(vulnerability)
app.command(epilog="Example: audit verify audit-findings --top 50")(verify)
app.command(epilog="Example: audit review audit-findings")(review)
app.command(epilog="Example: audit apply audit-findings decisions.jsonl mail.csv -o mail.fixed.csv")(apply)
app.command(epilog="Example: audit report audit-findings -o report.md")(report)
app.command(epilog="Example: audit export audit-findings --to labelstudio -o tasks.json")(export)
app.command(epilog="Example: audit undo mail.fixed.csv.journal.jsonl -o mail.back.csv")(undo)
app.command(epilog="Example: audit demo --out audit-demo")(demo)
app.command(epilog="Example: audit init --dry-run")(init)
app.command(epilog="Example: audit check train.csv --label y --base origin/main:train.csv")(check)
app.command(epilog="Example: audit rule DA101")(rule)
app.add_typer(baseline, name="baseline")
app.add_typer(config, name="config")

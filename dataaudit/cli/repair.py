"""``audit apply``: carry out the decisions of a review, with a journal to undo it by.

``audit undo``: give back the data as they were before ``audit apply``.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dataaudit.cli import bridge
from dataaudit.cli.progress import Talk
from dataaudit.errors import AuditError

if TYPE_CHECKING:
    from dataaudit.audits.rerun import Standing
    from dataaudit.findings.schemas import Findings
    from dataaudit.repair.plan import Plan


SHOWN = 10
_INPUT, _OUTPUT = "Input", "Output"

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", show_default=False, help="Findings of audit labels.")
]
DecisionFile = Annotated[
    Path,
    typer.Argument(
        metavar="DECISIONS",
        show_default=False,
        help="JSON lines or CSV: row_id, action (keep, relabel, drop, weight, unsure), label, weight.",
    ),
]
Data = Annotated[
    str, typer.Argument(metavar="DATA", show_default=False, help="The file that was audited, unchanged.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="The repaired file.", rich_help_panel=_OUTPUT),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Only show what would change.", rich_help_panel=_OUTPUT),
]
InPlace = Annotated[
    bool,
    typer.Option("--in-place", help="Replace DATA; DATA.bak keeps it as it was.", rich_help_panel=_OUTPUT),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace another file that is there.", rich_help_panel=_OUTPUT)
]
NewClass = Annotated[
    bool,
    typer.Option("--new-class", help="Allow a label that no audited row has.", rich_help_panel=_INPUT),
]
WeightColumn = Annotated[
    str | None,
    typer.Option(
        "--weight-column",
        metavar="COLUMN",
        show_default="the audit's, or weight",
        help="Where weights go; made if absent, with 1 in all other rows.",
        rich_help_panel=_INPUT,
    ),
]
Test = Annotated[
    str | None,
    typer.Option(
        "--test", metavar="SOURCE", help="Labelled rows to test both models on.", rich_help_panel="Model"
    ),
]
Model = Annotated[
    bool,
    typer.Option("--model/--no-model", help="Compare the model before and after.", rich_help_panel="Model"),
]
Format = Annotated[
    Literal["json"] | None,
    typer.Option(
        "--format", show_default="nothing", help="Also write what changes to stdout.", rich_help_panel=_OUTPUT
    ),
]


def apply(
    folder: Folder,
    decisions: DecisionFile,
    data: Data,
    *,
    out: Out = None,
    dry_run: DryRun = False,
    in_place: InPlace = False,
    force: Force = False,
    new_class: NewClass = False,
    weight_column: WeightColumn = None,
    test: Test = None,
    model: Model = True,
    format: Format = None,  # noqa: A002 - the option is called --format
    quiet: bridge.Quiet = 0,
    color: bridge.Color = "auto",
) -> None:
    """Write the audited data with a review's decisions carried out, and a journal that undoes it."""
    from dataaudit.data.blob import open_blob
    from dataaudit.findings.schemas import Findings
    from dataaudit.repair.apply import place, repair, write_repair
    from dataaudit.repair.decisions import read_decisions
    from dataaudit.repair.plan import make_plan, require_files

    target = None if dry_run and not (out or in_place) else place(data, out, in_place=in_place, force=force)
    findings, decided = Findings.read(folder), read_decisions(decisions)
    require_files(findings)
    blob = open_blob(data)
    plan = make_plan(findings, decided, blob=blob, new_class=new_class, weight_column=weight_column)
    done = repair(blob, plan)
    told: dict[str, Any] = _changes(plan, dry_run=dry_run)
    with Talk(quiet=quiet, color=color) as talk:
        sentences = _preview(plan, dry_run=dry_run)
        if not dry_run and target is not None:
            written = write_repair(done, data, target=target, in_place=in_place)
            told["files"] = {name: path.as_posix() for name, path in written.items()}
            sentences += _written(written)
            if model:
                before = written.get("backup", Path(data)).as_posix()
                weights = plan.weight_column if plan.only("weight") else None
                said, told["model"] = _compared(
                    findings, target, source=before, test=test, weights=weights, talk=talk
                )
                sentences += said
            sentences += _next(findings, plan, target, journal=written["journal"], source=data)
        if quiet < 2:  # noqa: PLR2004 - as everywhere, -qq says nothing
            for sentence in sentences:
                talk.say(sentence)
    if format == "json":
        sys.stdout.write(json.dumps(told, ensure_ascii=True, indent=2) + "\n")


def _changes(plan: Plan, *, dry_run: bool) -> dict[str, Any]:
    from dataaudit.repair.journal import described

    moves = [{"from": a, "to": b, "rows": rows} for (a, b), rows in plan.moves.items()]
    changes = [described(change) for change in plan.changes]
    return {
        "dry_run": dry_run,
        "run_id": plan.run_id,
        "decisions": plan.counts,
        "relabelled": moves,
        "changes": changes,
    }


def _preview(plan: Plan, *, dry_run: bool) -> list[str]:
    """Return what changes, in sentences, and the first rows."""
    would = "would be " if dry_run else ""
    counts = plan.counts
    numbers = (
        f"{counts['relabel']:,} labels {would}changed, {counts['drop']:,} rows {would}dropped, "
        f"{counts['weight']:,} weights {would}set, {counts['keep']:,} rows kept as they are; "
        f"{plan.rows:,} rows in all."
    )
    said = [numbers]
    if plan.unsure:
        said.append(
            "1 row unsure, left as it is."
            if plan.unsure == 1
            else f"{plan.unsure:,} rows unsure, left as they are."
        )
    said += [f"– {rows:,} from {_cell(a)} to {_cell(b)}" for (a, b), rows in plan.moves.items()]
    for change in plan.changes[:SHOWN]:
        after = {"drop": "dropped", "weight": f"weight {change.weight}"}.get(change.action)
        said.append(
            f"– {_cell(change.row_id)}: {_cell(change.before)} → {after or _cell(change.label or '')}"
        )
    more = len(plan.changes) - SHOWN
    said += [f"– … and {more:,} more rows"] if more > 0 else []
    if plan.elsewhere:
        said.append(f"{plan.elsewhere:,} decisions are on rows of other files: repair those one by one.")
    return [*said, "Nothing was written."] if dry_run else said


def _cell(text: str) -> str:
    from dataaudit.escape import console_line

    return console_line(text, 80)


def _written(written: Mapping[str, Path]) -> list[str]:
    names = {"target": "The repaired data are", "journal": "The undo journal is", "backup": "The backup is"}
    return [f"{names[name]} {path.as_posix()}" for name, path in written.items()]


def _compared(
    findings: Findings, target: Path, *, source: str, test: str | None, weights: str | None, talk: Talk
) -> tuple[list[str], dict[str, Any] | None]:
    """Return the model before and after; what keeps it from being compared does not undo the repair."""
    from dataclasses import asdict

    from dataaudit.audits.rerun import compare
    from dataaudit.findings.record import plain

    try:
        before, after = compare(
            findings, target, source=source, test=test, weight_column=weights, on_step=talk.step
        )
    except AuditError as error:
        return [f"The model was not compared: {error}"], None
    both: dict[str, Any] = plain({"before": asdict(before), "after": asdict(after)})
    return _sentences(before, after), both


def _sentences(before: Standing, after: Standing) -> list[str]:
    rows = f"{before.rows:,}" if before.rows == after.rows else f"{before.rows:,} → {after.rows:,}"
    said = [
        f"Mean leave-one-out loss: {before.loo_loss:.4f} → {after.loo_loss:.4f} nats a row ({rows} rows).",
        f"Labels expected to be wrong: {_count(before.expected_wrong)} → {_count(after.expected_wrong)}.",
    ]
    if after.test_rows:
        said.append(
            f"On {after.test_rows:,} test rows: accuracy {before.test_accuracy:.2%} → "
            f"{after.test_accuracy:.2%}, mean loss {before.test_loss:.4f} → {after.test_loss:.4f} nats."
        )
    return said


def _count(rows: float) -> str:
    return f"{rows:,.0f}" if rows == rows else "unknown"  # noqa: PLR0124 - nan is not itself


def _next(findings: Findings, plan: Plan, target: Path, *, journal: Path, source: str) -> list[str]:
    """Return the commands to type next."""
    was = Path(source)
    ends = "".join(was.suffixes[-2:] if was.suffix in (".gz", ".zst") else was.suffixes[-1:])
    back = target.with_name(f"{was.name.removesuffix(ends)}.back{ends}")
    undo = shlex.join(["audit", "undo", journal.as_posix(), "-o", back.as_posix()])
    return [f"To undo it: {undo}", f"To audit again: {_again(findings, plan, target)}"]


def _again(findings: Findings, plan: Plan, target: Path) -> str:
    """Return the command of the findings with the new file, and with another folder."""
    known = findings.provenance
    weights = ["--weight", plan.weight_column]
    needed = weights if plan.only("weight") and not known.settings.get("weight") else []
    words = shlex.split(known.command) if known.command.startswith("audit labels ") else []
    sources = list(known.settings.get("source") or ())
    if len(sources) != 1 or words.count(sources[0]) != 1:
        return shlex.join(["audit", "labels", target.as_posix(), "--label", plan.label_column, *needed])
    words[words.index(sources[0])] = target.as_posix()
    for option in ("--out", "-o"):
        if option in words[:-1]:
            at = words.index(option)
            del words[at : at + 2]
    return shlex.join([*words, *needed, "--out", f"{target.name.partition('.')[0]}-findings-2"])


JournalFile = Annotated[
    Path,
    typer.Argument(metavar="JOURNAL", show_default=False, help="What audit apply wrote: *.journal.jsonl."),
]
Out_undo = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="The data as they were.", rich_help_panel="Output"),
]
Repaired = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FILE",
        show_default="beside the journal",
        help="The repaired file.",
        rich_help_panel="Input",
    ),
]
InPlace_undo = Annotated[
    bool,
    typer.Option(
        "--in-place", help="Replace the repaired file; FILE.bak keeps it.", rich_help_panel="Output"
    ),
]
Force_undo = Annotated[
    bool, typer.Option("--force", help="Replace another file that is there.", rich_help_panel="Output")
]


def undo(
    journal: JournalFile,
    *,
    out: Out_undo = None,
    data: Repaired = None,
    in_place: InPlace_undo = False,
    force: Force_undo = False,
    quiet: bridge.Quiet = 0,
    color: bridge.Color = "auto",
) -> None:
    """Write the data as they were before a repair, their content hash checked."""
    from dataaudit.repair.undo import undo as run

    done = run(journal, out, repaired=data, in_place=in_place, force=force)
    if quiet > 1:
        return
    how = "byte for byte" if done.identical else "its content; how it is packed or laid out may differ"
    with Talk(quiet=quiet, color=color) as talk:
        talk.say(f"{done.path.as_posix()} is {done.journal.source} as it was before the repair, {how}.")
        if done.backup:
            talk.say(f"The repaired file is kept as {done.backup.as_posix()}")

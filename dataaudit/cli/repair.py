"""``audit apply``: carry out the decisions of a review; ``audit undo``: give the data back as they were."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from dataaudit.cli.bridge import OUTPUT, Arg, command
from dataaudit.cli.progress import Progress
from dataaudit.errors import AuditError
from dataaudit.options import INPUT, MODEL, Opt

if TYPE_CHECKING:
    from dataaudit.audits.rerun import Standing
    from dataaudit.findings.schemas import Findings
    from dataaudit.repair.plan import Plan
    from dataaudit.report.words import RowNames


SHOWN = 10

Folder = Annotated[Path, Arg("Findings of audit labels.", metavar="FOLDER")]
DecisionFile = Annotated[
    Path,
    Arg(
        "JSON lines or CSV: row_id, action (keep, relabel, drop, weight, unsure), label, weight.",
        metavar="DECISIONS",
    ),
]
Data = Annotated[str, Arg("The file that was audited, unchanged.", metavar="DATA")]
Out = Annotated[Path | None, Opt("The repaired file.", OUTPUT, flags="--out -o")]
DryRun = Annotated[bool, Opt("Only show what would change.", OUTPUT)]
InPlace = Annotated[bool, Opt("Replace DATA; DATA.bak keeps it as it was.", OUTPUT)]
Force = Annotated[bool, Opt("Replace another file that is there.", OUTPUT)]
NewClass = Annotated[bool, Opt("Allow a label that no audited row has.", INPUT)]
WeightColumn = Annotated[
    str | None,
    Opt("Where weights go; made if absent, with 1 in all other rows.", INPUT, shown="the audit's, or weight"),
]
Test = Annotated[str | None, Opt("Labelled rows to test both models on.", MODEL, metavar="SOURCE")]
Model = Annotated[bool, Opt("Compare the model before and after.", MODEL, flags="--model/--no-model")]
Format = Annotated[Literal["json"] | None, Opt("Also write what changes to stdout.", OUTPUT, shown="nothing")]


@command(OUTPUT)
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
    progress: Progress,
) -> None:
    """Write the audited data with a review's decisions carried out, and a journal that undoes it."""
    from dataaudit.data.blob import open_blob
    from dataaudit.findings.schemas import Findings
    from dataaudit.repair.apply import place, repair, write_repair
    from dataaudit.repair.decisions import read_decisions
    from dataaudit.repair.plan import make_plan, require_files
    from dataaudit.report.words import RowNames

    target = None if dry_run and not (out or in_place) else place(data, out, in_place=in_place, force=force)
    findings, decided = Findings.read(folder), read_decisions(decisions)
    require_files(findings)
    blob = open_blob(data)
    plan = make_plan(findings, decided, blob=blob, new_class=new_class, weight_column=weight_column)
    done = repair(blob, plan)
    changes: dict[str, Any] = _changes(plan, dry_run=dry_run)
    with progress:
        sentences = _preview(plan, RowNames.of(findings.provenance), dry_run=dry_run)
        if not dry_run and target is not None:
            written = write_repair(done, data, target=target, in_place=in_place)
            changes["files"] = {name: path.as_posix() for name, path in written.items()}
            sentences += _written(written)
            if model:
                before = written["backup"].as_posix() if in_place else data
                weights = plan.weight_column if plan.only("weight") else None
                said, changes["model"] = _compared(
                    findings, target, source=before, test=test, weights=weights, progress=progress
                )
                sentences += said
            sentences += _next(findings, plan, target, journal=written["journal"], source=data)
        progress.close(sentences)
    if format == "json":
        sys.stdout.write(json.dumps(changes, ensure_ascii=True, indent=2) + "\n")


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


def _preview(plan: Plan, names: RowNames, *, dry_run: bool) -> list[str]:
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
        row, now = names.one(change.row_id), after or _cell(change.label or "")
        said.append(f"– {_cell(row)}: {_cell(change.before)} → {now}")
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
    findings: Findings,
    target: Path,
    *,
    source: str,
    test: str | None,
    weights: str | None,
    progress: Progress,
) -> tuple[list[str], dict[str, Any] | None]:
    """Return the model before and after; what keeps it from being compared does not undo the repair."""
    from dataclasses import asdict

    from dataaudit.audits.rerun import compare
    from dataaudit.findings.record import plain

    try:
        before, after = compare(
            findings, target, source=source, test=test, weight_column=weights, on_step=progress.step
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


JournalFile = Annotated[Path, Arg("What audit apply wrote: *.journal.jsonl.", metavar="JOURNAL")]
Original = Annotated[Path | None, Opt("The data as they were.", OUTPUT, flags="--out -o")]
Repaired = Annotated[Path | None, Opt("The repaired file.", INPUT, shown="next to the journal")]
ReplacesRepaired = Annotated[bool, Opt("Replace the repaired file; FILE.bak keeps it.", OUTPUT)]


@command(OUTPUT)
def undo(
    journal: JournalFile,
    *,
    out: Original = None,
    data: Repaired = None,
    in_place: ReplacesRepaired = False,
    force: Force = False,
    progress: Progress,
) -> None:
    """Write the data as they were before a repair, their content hash checked."""
    from dataaudit.repair.undo import undo as run

    done = run(journal, out, repaired=data, in_place=in_place, force=force)
    how = "byte for byte" if done.identical else "its content; how it is packed or laid out may differ"
    said = [f"{done.path.as_posix()} is {done.journal.source} as it was before the repair, {how}."]
    if done.backup:
        said.append(f"The repaired file is kept as {done.backup.as_posix()}")
    progress.close(said)

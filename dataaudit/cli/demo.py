"""``audit demo``: real data, known mistakes, and how many of them the audit finds."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from dataaudit.cli import options
from dataaudit.cli.talk import Talk

if TYPE_CHECKING:
    from dataaudit.cli.demo_data import DemoData
    from dataaudit.findings import Findings


def demo(
    *,
    out: options.Out = Path("audit-demo"),
    seed: options.Seed = 0,
    quiet: options.Quiet = 0,
    color: options.Color = "auto",
) -> None:
    """Flip 10 % of the labels of real spam data, audit it, and count the flips found."""
    from dataaudit.api import audit_labels
    from dataaudit.cli.demo_data import load_demo
    from dataaudit.cli.results import prepare

    results = prepare(out)
    with Talk(quiet=quiet, color=color) as talk:
        talk.step("loading the demo data", 0, 1)
        data = load_demo(seed)
        path = _save(data, out)
        command = shlex.join(["audit", "labels", path.as_posix(), "--label", data.label, "--seed", str(seed)])
        audit = audit_labels(path, label=data.label, seed=seed, command=command, on_step=talk.step)
        audit.write(out)
    talk.conclude(results.emit(audit.findings, top=100))
    if quiet < 2:  # noqa: PLR2004 - as everywhere, -qq says nothing
        for sentence in _outcome(data, audit.findings, out):
            talk.say(sentence)


def _save(data: DemoData, folder: Path) -> Path:
    """Write the table where people can look at it, and audit it again."""
    from dataaudit.errors import WriteError

    path = folder / f"{data.name}.csv"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        data.frame.write_csv(path)
    except OSError as error:
        raise WriteError(
            f"{path.as_posix()} cannot be written: {error.strerror}", "name another --out"
        ) from error
    return path


def _outcome(data: DemoData, findings: Findings, out: Path) -> list[str]:
    """Return the sentences that close the demo."""
    n, wrong = data.frame.height, len(data.flipped)
    first = round(0.1 * n)
    found = len(data.flipped.intersection(findings.labels["row"].head(first).to_list()))
    note = (
        [] if data.name == "spambase" else ["Spambase comes with the extra: pip install 'dataaudit[demo]'."]
    )
    return [
        f"{wrong:,} of the {n:,} labels of {data.title} were flipped for this demo.",
        f"{found:,} of them ({found / wrong:.0%}) are in the first {first:,} rows (10 %) of the list;",
        f"{first:,} rows at random would have held {round(0.1 * wrong):,}.",
        *note,
        f"The report is {(out / 'report.html').as_posix()}",
        "On your own data: audit labels FILE --label COLUMN",
    ]

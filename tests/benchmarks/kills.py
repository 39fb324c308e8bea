"""Kill a run at many moments, go on with it, and compare: the findings, and what was done twice.

    python tests/benchmarks/kills.py mails.parquet --label label --text text [--moments 20] [--memory 100MB]

Prints for each moment what the resumed run said that it went on with, its CPU seconds and those of the killed
run together against those of a run that nobody stopped, and whether all tables are the same to the last bit.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source")
    parser.add_argument("--label", required=True)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--always", action="store_true", help="--resume from the first run on")
    given, more = parser.parse_known_args()
    words = ["labels", given.source, "--label", given.label, *more]
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        cpu, _ = run([*words, "--out", whole])
        tables = tables_of(whole)
        print(f"nobody stops it: {cpu:.1f} CPU s", flush=True)
        same = True
        for number in range(1, given.moments + 1):
            moment = cpu * number / (given.moments + 1)
            same &= killed(words, Path(folder, "killed"), tables, (moment, cpu), given)
        print("every table is the same" if same else "THE TABLES DIFFER")
        return 0 if same else 1


def killed(words, out, tables, usual, given):
    """Kill a run after some CPU seconds, go on with it, and return whether all is the same."""
    after, cpu = usual
    shutil.rmtree(out, ignore_errors=True)
    resume = ["--resume"] if given.always else []
    before, said = run([*words, "--out", out, *resume], after=after)
    then, more = run([*words, "--out", out, "--resume"])
    same = tables_of(out) == tables and not (out / ".unfinished").exists()
    resumed = [line.removeprefix("resumed: ") for line in more.splitlines() if line.startswith("resumed: ")]
    was = [line.removesuffix(" …") for line in said.splitlines() if line.endswith(" …")]
    print(
        f"killed at {before:.1f} CPU s, in {was[-1] if was else 'start'!r}; then {then:.1f}: "
        f"{before + then - cpu:+.1f}; resumed: {', '.join(resumed) or 'nothing'}"
        f"{'' if same else '; THE TABLES DIFFER'}",
        flush=True,
    )
    return same


def run(words, after=None):
    """Run the command, killed after some CPU seconds; return how many it took, and what it said."""
    cpu, given = children(), [sys.executable, "-m", "dataaudit", *map(str, words)]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(given, stderr=said, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            if after is not None and used_by(process.pid) >= after:
                process.send_signal(signal.SIGKILL)
                process.wait()
            time.sleep(0.02)
        said.seek(0)
        text = said.read()
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(text)
    return children() - cpu, text


def used_by(number):
    """Return the CPU seconds of a process so far."""
    words = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK")


def children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tables_of(folder):
    """Return every table of the findings, and of the provenance what is no time, name or path."""
    tables = {path.name: pl.read_parquet(path).to_dict(as_series=False) for path in folder.glob("*.parquet")}
    record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    return json.dumps([tables, record["settings"], record.get("notes")], sort_keys=True)


if __name__ == "__main__":
    sys.exit(main())

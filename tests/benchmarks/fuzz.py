"""Mutated files through every reader, the repair of text files and the way back: no traceback, no hang.

    python tests/benchmarks/fuzz.py [--count 100000] [--formats csv,toml] [--seed 0] [--keep FOLDER]

The files are small ones of each kind, cut, doubled, spliced and sprinkled with what breaks readers; `count`
of them go evenly over the formats. A file is read, or refused in one line of dataaudit's own; all else is a
fault, and so is more than 10 s. Of what was read some is repaired at random and written: then the source is
as it was, the target whole or absent, and undo gives the source back. File i of a format depends on the seed
and i alone, so a fault is repeated by ``--formats csv --seed 0 --only 17``; with --keep it lies in a folder.
Where Polars ends the process itself (a damaged page of a Parquet file may say that it has 2**61 values, and
nothing above can catch what follows) this is counted apart. With --atheris, of the extra ``fuzz``, coverage
leads the mutations. Exits with 1 if there was a fault.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import random
import runpy
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import polars as pl

from dataaudit.data.blob import open_blob
from dataaudit.data.dataset import Dialect
from dataaudit.data.load import load
from dataaudit.errors import AuditError
from dataaudit.escape import visible
from dataaudit.features.target import class_texts
from dataaudit.gate.config import Asked, load_config
from dataaudit.repair.apply import TEXT_FORMATS, repair, write_repair
from dataaudit.repair.decisions import read_decisions
from dataaudit.repair.plan import Plan, RowChange
from dataaudit.repair.undo import undo

LONGEST = 10  # seconds for one file
REPAIRED = 0.3  # share of the files that can be read that are repaired as well
LABEL = "label"
DIALECTS = (*[Dialect()] * 16, *map(Dialect, ("cp1252", "utf-16", "utf-8")), Dialect(no_header=True))

TABLE = pl.DataFrame(
    {
        "id": ["r1", "r2", "r3", "r4", "r5"],
        "size": [1.5, -2e-3, None, 7.0, 1e300],
        "count": [1, 0, 3, -4, 2**40],
        "text": ["plain", 'say "no", he; said', "line\nbreak", "é漢\U0001f600", None],
        "day": ["2026-01-02", "2026-02-03", "2026-11-30", "2026-01-04", "2026-01-05"],
        LABEL: ["spam", "ham", "spam", "ham", "ham"],
    }
)


def _csv():
    text = TABLE.write_csv()
    semicolons = TABLE.write_csv(separator=";")
    no_label = "1,x,2.5\n2,y,3.5\n3,x,4.5\n"
    latin = TABLE.with_columns(text=pl.lit("déjà vu"), size=pl.col("size").cast(pl.String)).write_csv()
    return [
        text.encode(), text.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + semicolons.encode(),
        b"sep=;\r\n" + semicolons.encode(), b"# a comment, of two\n\n" + text.encode(), no_label.encode(),
        latin.encode("cp1252"), text.encode("utf-16"), text.replace("\n", ",\n").encode(),
        TABLE.write_csv(quote_style="always", separator="\t").encode(),
        b'label,a\nx,5" pipe\ny,"q ""r"""\nx,\n', b"label,n\na,0012\nb,1e5\na,NA\nb,11111111111111111111\n",
    ]  # fmt: skip


def _json():
    frame = TABLE.to_pandas()
    rows = TABLE.to_dicts()
    layouts = [frame.to_json(orient=o) for o in ("columns", "index", "split", "table", "values", "records")]
    wrapped = json.dumps({"meta": {"n": 5}, "data": rows, "next": None}, indent=1)
    nested = [{"label": i % 2, "v": [i, 1.5], "s": {"a": i, "b": [{}]}} for i in range(4)]
    texts = [*layouts, wrapped, json.dumps(nested), json.dumps({"label": [1, 0], "x": ["a", "b"]})]
    return [text.encode() for text in texts] + [wrapped.encode("utf-16")]


def _ndjson():
    rows = TABLE.to_dicts()
    nested = [{"label": i % 2 == 0, "v": [i, 1.5], "s": {"a": i, "b": [{}]}} for i in range(4)]
    lists = [rows, nested, [{"label": row[LABEL], "n": 10**i} for i, row in enumerate(rows)]]
    return ["".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode() for rows in lists]


def _parquet():
    made = []
    for options in ({}, {"compression": "uncompressed", "statistics": False}, {"row_group_size": 2}):
        file = io.BytesIO()
        TABLE.write_parquet(file, **options)
        made.append(file.getvalue())
    file = io.BytesIO()
    TABLE.to_pandas().sample(frac=1, random_state=0).to_parquet(file)
    return [*made, file.getvalue()]


def _arrow():
    made = []
    for write in (TABLE.write_ipc, TABLE.write_ipc_stream):
        file = io.BytesIO()
        write(file)
        made.append(file.getvalue())
    return made


TOML = b"""\
select = ["DA1", "DA203"]
ignore = ["DA104"]
fail-on = "warning"
baseline = "accepted.jsonl"
limits = { DA101 = 0.05, "DA203" = 1e-3 }
seed = 3
[severity]
DA201 = "note"
[datasets.mail]
path = ["mail/*.csv", 'more.csv']
label = "label"
text = "body"
base = "origin/main:mail.csv"
no-header = false
limits.DA101 = 0.1
[[dataset]]
name = "other"
path = "x.parquet"
encoding = "cp1252"
query = '''
select *
from t'''
"""
DECISIONS = b"""\
{"run_id": "0f3c"}
{"row_id": "mail.csv:17", "action": "relabel", "label": "spam", "reviewer": "ada", "note": "\\u00e9"}
{"row_id": "mail.csv:40", "action": "weight", "weight": 0.5}
{"row_id": "mail.csv:41", "action": "drop"}
{"row_id": "mail.csv:42", "action": "keep", "label": 1}
"""
TABLE_OF_DECISIONS = b"""\
row_id,action,label,weight,reviewer,note,run_id
mail.csv:17,relabel,"spam, too",,ada,"a
b",0f3c
mail.csv:40,weight,,0.5,,,0f3c
"""


def _project(own):
    """Return the same as a part of pyproject.toml."""
    below = own.replace(b"\n[[", b"\n[[tool.dataaudit.").replace(b"\n[d", b"\n[tool.dataaudit.d")
    return b"[project]\nname = 'x'\n[tool.dataaudit]\n" + below.replace(b"\n[s", b"\n[tool.dataaudit.s")


SEEDS = {
    "csv": _csv,
    "ndjson": _ndjson,
    "json": _json,
    "parquet": _parquet,
    "arrow": _arrow,
    "toml": lambda: [TOML, _project(TOML)],
    "decisions": lambda: [DECISIONS, TABLE_OF_DECISIONS],
}
NAMES = {
    "csv": ("x.csv", "x.csv", "x.tsv", "x", "x.txt"),
    "ndjson": ("x.jsonl", "x.ndjson", "x"),
    "json": ("x.json", "x"),
    "parquet": ("x.parquet",),
    "arrow": ("x.arrow", "x.feather"),
}
TOKENS = [
    *(
        b"\0",
        b"\r",
        b"\n",
        b"\r\n",
        b'"',
        b'""',
        b"'",
        b",",
        b";",
        b"\t",
        b"|",
        b" ",
        b"\\",
        b"#",
        b"sep=;\n",
    ),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xe9", b"\x81", b"\xed\xa0\x80", b"\xc3", b"\xf0\x9f\x98"),
    *("\u2028".encode(), "\u0085".encode(), "é".encode(), "\u202e".encode(), b"\x1b[31m", b"\x1a", b"\x0c"),
    *(
        b"1" * 60,
        b"9" * 400,
        b"-" + b"9" * 40,
        b"1e400",
        b"1e-999",
        b"NaN",
        b"Infinity",
        b"-0",
        b"0x10",
        b"007",
    ),
    *(b"9223372036854775808", b"18446744073709551616", b"1" * 5000, b"2026-13-45", b"0000-00-00", b"1_000"),
    *(
        b"null",
        b"true",
        b"None",
        b"NA",
        b"{",
        b"}",
        b"[",
        b"]",
        b"[[",
        b"]]",
        b":",
        b"{}",
        b"[]",
        b"=",
        b'"""',
    ),
    *(b'"\\ud800"', b'"\\u0000"', b'"label":', b"label", b"[" * 3000, b'{"a":' * 3000, b"PAR1", b"ARROW1"),
    *(b"columns", b"data", b"index", b"schema", b"1979-05-27T07:32:00Z", b"1979-05-27", b"07:32:00", b"nan"),
]


def mutated(pick, seeds):
    """Return one of the files with one to six changes."""
    data = bytearray(pick.choice(seeds))
    for _ in range(pick.choice((1, 1, 1, 1, 2, 2, 3, 6))):
        at, size = pick.randint(0, len(data)), pick.choice((0, 1, 1, 1, 2, 4, 16, len(data) // 2))
        match pick.randint(0, 7):
            case 0 if data:
                data[at % len(data)] ^= 1 << pick.randint(0, 7)
            case 1 if data:
                data[at % len(data)] = pick.randint(0, 255)
            case 2 | 3:
                data[at:at] = pick.choice(TOKENS)
            case 4:
                del data[at : at + size]
            case 5:
                data[at : at + size] = data[at : at + size] * pick.randint(2, 4)
            case 6:
                other = pick.choice(seeds)
                start = pick.randint(0, len(other))
                data[at : at + size] = other[start : start + size]
            case 7:
                data[at : at + size] = pick.choice(TOKENS)
    return bytes(data)


def named(kind, data, pick):
    """Return a name that the file may have."""
    if kind == "toml":
        return "pyproject.toml" if b"tool" in data else "dataaudit.toml"
    if kind == "decisions":
        return "d.csv" if data.startswith(b"row_id") else "d.jsonl"
    return pick.choice(NAMES[kind])


def read(kind, data, pick, folder):
    """Read a file of a kind, and repair some; return whether it could be read."""
    path = Path(folder) / named(kind, data, pick)
    path.write_bytes(data)
    try:
        if kind == "toml":
            load_config(Asked(), env={}, cwd=path.parent).settings()
        elif kind == "decisions":
            read_decisions(path)
        else:
            dialect = pick.choice(DIALECTS) if kind == "csv" else Dialect()
            label = pick.choice((*[LABEL] * 10, "column_2", "a")) if kind == "csv" else LABEL
            table = load(path, target=label, dialect=dialect)
            if pick.random() < REPAIRED:
                change(path, table, dialect, pick)
    except AuditError as error:
        if len(visible(str(error)).splitlines()) != 1:
            raise ValueError(f"not one line: {error!s}") from error
        return False
    finally:
        path.unlink()
    return True


def change(path, table, dialect, pick):
    """Relabel and drop rows as `audit apply` does, and undo it."""
    before, blob = path.read_bytes(), open_blob(str(path))
    kind, _, rest = table.origins[0].format.partition("+")
    texts, rows = class_texts(table.frame[table.target]), table.row.to_list()
    classes = texts.drop_nulls().unique().sort().to_list()
    changes = []
    for i in sorted(pick.sample(range(table.n), min(table.n, 3))):
        if texts[i] is not None:
            what = {"row_id": table.row_id[i], "row": rows[i], "line": table.line[i], "before": texts[i]}
            drop = pick.random() < 0.3
            new = None if drop else pick.choice((*classes, "new, 'clàss'"))
            changes.append(RowChange(**what, action="drop" if drop else "relabel", label=new))
    if not changes or sum(c.action == "drop" for c in changes) == table.n:
        return
    examples = {
        c: [i for i in range(table.n) if texts[i] == c] for c in {c.label for c in changes if c.label}
    }
    plan = Plan(
        format=kind, rows=table.n, label_column=table.target, weight_column="weight", changes=tuple(changes),
        kept=0, same=0, unsure=0, elsewhere=0, examples=examples, run_id="0", encoding=rest,
        no_header=dialect.no_header,
    )  # fmt: skip
    target = path.with_name("fixed")
    written = []
    try:
        done = repair(blob, plan)
        written = write_repair(done, str(path), target=target, in_place=False)
        assert target.read_bytes() == done.data
        back = undo(written["journal"], path.with_name("back"), in_place=False, force=True)
        assert kind not in TEXT_FORMATS or back.path.read_bytes() == before
    finally:
        assert path.read_bytes() == before, "the source was changed"
        assert written or not target.exists(), "something is half-written"
        for name in ("fixed", "fixed.journal.jsonl", "back"):
            path.with_name(name).unlink(missing_ok=True)


class TooLongError(BaseException):
    """One file took more than ten seconds."""


def _stop(*_):
    raise TooLongError


@contextlib.contextmanager
def limited(seconds=LONGEST):
    """Interrupt what takes longer."""
    signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def one(kind, seeds, number, *, seed, folder):
    """Try file `number` of a format; return its bytes, whether it could be read, and its fault."""
    pick = random.Random(f"{seed} {kind} {number}")
    data = mutated(pick, seeds)
    try:
        with limited():
            return data, read(kind, data, pick, folder), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a panic of Polars is no Exception
        return data, False, error


def place(error):
    """Return type and innermost line of ours, by which faults are told apart."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "dataaudit/" in frame.filename]
    last = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__} {last}"


def run(kind, numbers, *, seed=0, keep=None, shared=None):
    """Try files of a format; return (read, refused, faults by place, seconds of the slowest)."""
    seeds, counts, faults, slowest = SEEDS[kind](), Counter(), {}, 0.0
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        for number in numbers:
            if shared:
                shared[:] = number, counts["read"], counts["refused"], counts["faults"]
            start = time.perf_counter()
            data, could, error = one(kind, seeds, number, seed=seed, folder=folder)
            slowest = max(slowest, time.perf_counter() - start)
            counts["faults" if error else "read" if could else "refused"] += 1
            if error and place(error) not in faults:
                faults[place(error)] = (number, str(error)[:200])
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{kind}-{seed}-{number}").write_bytes(data)
    return counts, faults, slowest


def _part(queue, shared, kind, numbers, seed, keep):
    queue.put(run(kind, numbers, seed=seed, keep=keep, shared=shared))


def apart(kind, numbers, *, seed, keep):
    """Run in another process, and go on in a next one where a library has ended it."""
    context = multiprocessing.get_context("spawn")
    counts, faults, slowest = Counter(), {}, 0.0
    while numbers:
        queue, shared = context.SimpleQueue(), context.Array("q", 4)
        child = context.Process(target=_part, args=(queue, shared, kind, numbers, seed, keep))
        child.start()
        while child.is_alive() and queue.empty():
            child.join(0.1)
        if not queue.empty():
            some, more, seconds = queue.get()
            child.join()
            return counts + some, faults | more, max(slowest, seconds)
        if child.exitcode >= 0:
            sys.exit(f"the process for {kind} did not work: code {child.exitcode}")
        number, *so_far = shared
        counts += Counter(dict(zip(("read", "refused", "faults"), so_far, strict=True)), ended=1)
        print(f"    {kind} {number}: the process was ended, with code {child.exitcode}", flush=True)
        numbers = numbers[numbers.index(number) + 1 :]
    return counts, faults, slowest


def _memory():
    """A folder in memory, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def by_coverage(kind, count):
    """Let atheris look for faults in a format; it ends the process at the first, and at the end."""
    import atheris

    for name in [name for name in sys.modules if name.partition(".")[0] == "dataaudit"]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["dataaudit"]):
        ours = runpy.run_path(__file__)
    seeds, folder, corpus = SEEDS[kind](), tempfile.mkdtemp(dir=_memory()), tempfile.mkdtemp(dir=_memory())
    for number, data in enumerate(seeds):
        (Path(corpus) / str(number)).write_bytes(data)

    def try_one(data):
        with limited():
            ours["read"](kind, data, random.Random(len(data)), folder)

    def mutate(data, most, seed):
        return mutated(random.Random(seed), [data, *seeds])[:most]

    arguments = [sys.argv[0], f"-runs={count}", f"-timeout={LONGEST}", "-max_len=20000", corpus]
    atheris.Setup(arguments, try_one, custom_mutator=mutate)
    atheris.Fuzz()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--formats", default=",".join(SEEDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of a single file")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--atheris", action="store_true")
    options = parser.parse_args()
    kinds = options.formats.split(",")
    each = -(-options.count // len(kinds))
    numbers = range(each) if options.only is None else [options.only]
    bad = 0
    for kind in kinds:
        if options.atheris:
            by_coverage(kind, each)
            continue
        start = time.perf_counter()
        counts, faults, slowest = apart(kind, numbers, seed=options.seed, keep=options.keep)
        seconds = time.perf_counter() - start
        print(
            f"{kind:10}{counts['read']:7,} read {counts['refused']:7,} refused {counts['ended']:3,} ended "
            f"{counts['faults']:3,} faults {slowest:5.2f} s the slowest {seconds:5.0f} s",
            flush=True,
        )
        for where, (number, what) in faults.items():
            print(f"    {where}: --formats {kind} --seed {options.seed} --only {number}: {what!r}")
        bad += len(faults)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())

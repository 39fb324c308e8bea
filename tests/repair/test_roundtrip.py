"""Repair, then undo, on every format: what comes back is what was; what did not change is as it was."""

import csv
import datetime as dt
import decimal
import gzip
import io
import json
import random
import subprocess

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from repair.audited import findings_of

from dataaudit.data.blob import open_blob
from dataaudit.data.dataset import USUAL, Dialect
from dataaudit.data.fingerprint import fingerprint
from dataaudit.data.load import load
from dataaudit.errors import DataError
from dataaudit.features.target import class_texts
from dataaudit.files import packed
from dataaudit.repair.apply import place, repair, write_repair
from dataaudit.repair.arrow import read_frame
from dataaudit.repair.decisions import Decision, Decisions
from dataaudit.repair.layout import lost
from dataaudit.repair.plan import make_plan
from dataaudit.repair.undo import undo

N = 40


def run(path, decide, *, folder, label="label", dialect=USUAL, **more):
    """Repair a file by what `decide` says of its findings; return source, repaired file and journal."""
    findings = findings_of(path, label, dialect=dialect)
    decisions = Decisions(tuple(decide(findings.labels.sort("row"))), findings.provenance.run_id)
    blob = open_blob(str(path))
    plan = make_plan(findings, decisions, blob=blob, **more)
    target = place(str(path), folder / f"fixed-{path.name}", in_place=False, force=False)
    written = write_repair(repair(blob, plan), str(path), target=target, in_place=False)
    return target, written["journal"], plan


def one(at, *, action, label=None, weight=None):
    """Return what decides on one row."""
    return lambda labels: [Decision(row_id=labels["row_id"][at], action=action, label=label, weight=weight)]


def mixed(labels, seed=0, weights=False):
    """Relabel, drop, keep and weigh rows at random, first and last ones among them."""
    pick = random.Random(seed)
    classes = labels["label"].unique().sort().to_list()
    rows = labels.select("row_id", "label").rows()
    chosen = {0, 1, len(rows) - 1, len(rows) - 2, *pick.sample(range(len(rows)), len(rows) // 3)}
    for at in sorted(chosen):
        name, label = rows[at]
        action = pick.choice(["relabel", "relabel", "drop", "keep", *(["weight"] if weights else [])])
        other = pick.choice([c for c in classes if c != label])
        yield Decision(
            row_id=name, action=action, label=other if action == "relabel" else None,
            weight=pick.choice([0.0, 0.5, 2.0]) if action == "weight" else None,
        )  # fmt: skip


HOSTILE = (
    'say "no"', "a,b;c|d\te", "line\nbreak", "crlf\r\nin a cell", "", " ", '""', "=cmd()", "<script>",
    "\u2028", "é漢\U0001f600", "::error", "\x1b[31m", "'", "\\", "\\n", "x" * 5000, "\u202e",
)  # fmt: skip


def records(n=N, seed=0):
    """Rows of 30 odd columns as text."""
    pick = random.Random(seed)
    names = [f"c{i}" for i in range(28)]
    names[3], names[4] = 'quoted "name"', "name, with comma"
    rows = [
        [pick.choice([*HOSTILE, "0.1000", "1e-300", "007", "NaN", "3.14159265358979323846"]) for _ in names]
        for _ in range(n)
    ]
    labels = [["spam", "ham", "ei,er", 'q"q'][i % 4] if i % 5 else "ham" for i in range(n)]
    head = ["id", *names[:10], "label", *names[10:]]
    body = [
        [str(i), *row[:10], label, *row[10:]] for i, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]
    return head, body


def delimited(separator, newline, *, quoting=csv.QUOTE_MINIMAL, mark=b"", last=True, seed=0):
    head, body = records(seed=seed)
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, lineterminator=newline, quoting=quoting).writerows([head, *body])
    text = out.getvalue()
    return mark + (text if last else text.removesuffix(newline)).encode()


DELIMITED = {
    "comma": delimited(",", "\n"),
    "crlf": delimited(",", "\r\n"),
    "all quoted": delimited(",", "\r\n", quoting=csv.QUOTE_ALL),
    "semicolon": delimited(";", "\n"),
    "bar": delimited("|", "\n", mark=b"\xef\xbb\xbf"),
    "mark": delimited(",", "\r\n", mark=b"\xef\xbb\xbf"),
    "no last newline": delimited(",", "\n", last=False),
    "blank lines": b"a,label\n\n1,x\n\n\n2,y\n3,x\n\n4,y\n5,x\n\n",
    "quotes inside": b'a,label,b\n5" pipe,x,"q ""r"""\n6,y,7" "pipe"\n8,x,\n9,y,z\n1,x,"a\nb"\n2,y,c',
    "blank before a quote": b'a, label, b\n1, "x", "p, q"\n2, "y", "r"\n3, x, "s"\n4, y, "t, u"\n5, x, v\n',
    "carriage returns": b"a,label\r1,x\r2,y\r3,x\r4,y\r5,x\r",
    "label first": b"label,a\r\nx,1\r\ny,2\r\nx,3\r\ny,4\r\nx,5",
    "label last and empty cells": b",,label\n,,x\n,,y\n1,,x\n,2,y\n,,x\n",
    "numbers": b"a,label\n1,1.0\n2,0\n3,1.00\n4,0\n5,1.0\n6,0\n",
    "booleans": b"a,label\n1,true\n2,false\n3,true\n4,false\n5,true\n6,false\n",
    "sep=": b"sep=;\r\na;label;b\r\n1;x;u\r\n2;y;v\r\n3;x;w\r\n4;y;z\r\n5;x;u\r\n",
    "comments": b'# made by hand, "so\n# 2\na,label\n1,x\n2,y\n3,x\n4,y\n5,x\n',
    "commented header": b"#label,a\nx,1\ny,2\nx,3\ny,4\nx,5\n",
    "blank before the header": b"\n,,\n \na,label,b\n1,x,u\n2,y,v\n3,x,w\n4,y,z\n5,x,u\n",
    "trailing separators": b"a,label,\n1,x,\n2,y,\n3,x,\n4,y,\n5,x,\n",
    "trailing separators below": b"a,label\n1,x,\n2,y,\n3,x,\n4,y,\n5,x,\n",
    "trailing separator above": b"a,label,\n1,x\n2,y\n3,x\n4,y\n5,x\n",
    "cp1252": "a,label,b\r\né,x,u\r\nü,café,v\r\n€,x,w\r\nß,café,z\r\n5,x,u\r\n".encode("cp1252"),
    "utf-16": '\ufeffa\tlabel\r\n"1\n"\tx\r\n2\tщ\r\n3\tx\r\n4\tщ\r\n5\tx\r\n'.encode("utf-16-le"),
    "utf-16, big end": "a,label\n1,x\n2,щ\n3,x\n4,щ\n5,x\n".encode("utf-16-be"),
    "missing labels": b"a,label\n1,x\n2,\n3,y\n4,\n5,x\n6,y\n7,x\n",
}


@pytest.mark.parametrize("weights", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("case", DELIMITED)
def test_delimited_comes_back(case, weights, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(DELIMITED[case])
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        target, journal, plan = run(path, lambda t, s=seed: mixed(t, s, weights), folder=folder)
        back = undo(journal, folder / "back.csv", in_place=False, force=False)
        assert back.identical
        assert back.path.read_bytes() == path.read_bytes() == DELIMITED[case]
        old, new = (load(str(p), target="label", columns=()) for p in (path, target))
        dropped = [c.row for c in plan.only("drop")]
        wanted = class_texts(old.frame["label"]).to_list()
        for change in plan.only("relabel"):
            wanted[change.row] = change.label
        wanted = [label for row, label in enumerate(wanted) if row not in dropped]
        assert class_texts(new.frame["label"]).to_list() == wanted


def test_only_the_cell_changes(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(
        b'\xef\xbb\xbfid;label;note\r\n1;"ham";" a;""b"""\r\n2;spam;\r\n003;ham;1.50\r\n4;spam;x'
    )

    def decide(table):
        for at, label in ((0, "spam"), (3, "ham")):
            yield Decision(row_id=table["row_id"][at], action="relabel", label=label)

    target, _, _ = run(path, decide, folder=tmp_path)
    assert target.read_bytes() == (
        b'\xef\xbb\xbfid;label;note\r\n1;"spam";" a;""b"""\r\n2;spam;\r\n003;ham;1.50\r\n4;ham;x'
    )


def test_a_class_is_spelled_as_the_file_spells_it(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(DELIMITED["numbers"])
    decide = one(1, action="relabel", label="1")
    target, _, _ = run(path, decide, folder=tmp_path)
    assert target.read_bytes() == DELIMITED["numbers"].replace(b"2,0", b"2,1.0")


def test_a_new_class_is_quoted_where_it_must_be(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,label\n1,x\n2,y\n3,x\n")
    decide = one(0, action="relabel", label='a "b", c\n')
    with pytest.raises(DataError, match="add --new-class"):
        run(path, decide, folder=tmp_path)
    target, _, _ = run(path, decide, folder=tmp_path, new_class=True)
    assert target.read_bytes() == b'a,label\n1,"a ""b"", c\n"\n2,y\n3,x\n'


def test_weights_are_set_or_added(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b'"a","label"\r\n1,x\r\n2,y\r\n3,x')
    decide = one(1, action="weight", weight=0.5)
    target, _, _ = run(path, decide, folder=tmp_path)
    assert target.read_bytes() == b'"a","label","weight"\r\n1,x,1\r\n2,y,0.5\r\n3,x,1'
    path.write_bytes(b"a;label;w\n1;x;1,5\n2;y;2\n3;x;1\n")
    target.unlink()
    target, _, _ = run(path, decide, folder=tmp_path, weight_column="w")
    assert target.read_bytes() == b"a;label;w\n1;x;1,5\n2;y;0,5\n3;x;1\n"


def objects():
    head, body = records()
    rows = [dict(zip(head, row, strict=True)) for row in body]
    for i, row in enumerate(rows):
        row |= {"nested": {"label": "no", "list": [{"é": "\u2028"}, None]}, "real": i / 7, "none": None}
    return rows


def _json_cases():
    rows = objects()
    lines = [json.dumps(row, ensure_ascii=i % 2 == 0) for i, row in enumerate(rows)]
    return {
        "rows.ndjson": "\n".join([*lines, ""]).encode(),
        "crlf.ndjson": b"\xef\xbb\xbf" + "\r\n".join(lines).encode(),
        "blank.jsonl": ("\n\n" + "\n \n".join(lines) + "\n\n").encode(),
        "array.json": json.dumps(rows, indent=3, ensure_ascii=False).encode(),
        "tight.json": json.dumps(rows, separators=(",", ":")).encode() + b"\n",
        "sequence.json": "\n".join(json.dumps(row, indent=1) for row in rows).encode(),
        "numbers.ndjson": b"".join(b'{"x": %d, "label" : %d }\n' % (i, i % 3) for i in range(20)),
        "table.json": json.dumps(
            {
                "schema": {"fields": [{"name": "i"}, {"name": "label"}], "primaryKey": ["i"]},
                "data": [{"i": i, "label": "ab"[i % 2]} for i in range(20)],
            }
        ).encode(),
        "wrapped.json": json.dumps({"é": [1], "rows": rows, "n": {"rows": 1}}, indent=1).encode("utf-16"),
        "bools.json": json.dumps([{"label": i % 2 == 0, "x": i} for i in range(20)]).encode(),
    }


JSON = _json_cases()


@pytest.mark.parametrize("weights", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("name", JSON)
def test_json_comes_back(name, weights, tmp_path):
    path = tmp_path / name
    path.write_bytes(JSON[name])
    weights = weights and name != "table.json"
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        target, journal, plan = run(path, lambda t, s=seed: mixed(t, s, weights), folder=folder)
        assert undo(journal, folder / "back", in_place=False, force=False).path.read_bytes() == JSON[name]
        new = load(str(target), target="label", columns=())
        dropped = [c.row for c in plan.only("drop")]
        assert new.n == plan.rows - len(dropped)
        for change in plan.only("relabel"):
            row = change.row - sum(d < change.row for d in dropped)
            assert class_texts(new.frame["label"])[row] == change.label


def test_a_class_that_the_encoding_lacks_is_refused(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("a,label\né,x\nÜber,y\nß,x\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"is in Windows-1252, which has no 'щ'.*use a class without it"):
        run(path, one(0, action="relabel", label="щ"), folder=tmp_path, new_class=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.csv"]


def test_a_file_without_a_header_comes_back(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"# of 2026\n1,x\n2,y\n3,x\n4,y\n")
    dialect = Dialect(no_header=True)
    target, journal, _ = run(path, mixed, folder=tmp_path, label="column_2", dialect=dialect)
    assert target.read_bytes().startswith(b"# of 2026\n")
    assert (
        undo(journal, tmp_path / "back", in_place=False, force=False).path.read_bytes() == path.read_bytes()
    )
    target.unlink()
    decide = one(1, action="weight", weight=0.5)
    with pytest.raises(DataError, match=r"no header, which could name a column 'weight'.*--weight-column"):
        run(path, decide, folder=tmp_path, label="column_2", dialect=dialect)
    run(path, decide, folder=tmp_path, label="column_2", dialect=dialect, weight_column="column_1")
    assert target.read_bytes() == b"# of 2026\n1,x\n0.5,y\n3,x\n4,y\n"


@pytest.mark.parametrize("orient", ["columns", "index", "split", "values"])
def test_layouts_that_are_not_by_row_are_refused(orient, tmp_path):
    path = tmp_path / "rows.json"
    label = "column_1" if orient == "values" else "label"
    pd.DataFrame({"label": ["x", "y", "x"], "a": [1, 2, 3]}).to_json(path, orient=orient)
    with pytest.raises(DataError, match=f'laid out by {orient} is not repaired.*orient="records"'):
        run(path, one(0, action="relabel", label="y"), folder=tmp_path, label=label)


def test_a_column_that_the_schema_of_a_table_lacks_is_refused(tmp_path):
    path = tmp_path / "table.json"
    path.write_bytes(JSON["table.json"])
    with pytest.raises(DataError, match="the schema of the file has no column 'weight'"):
        run(path, one(0, action="weight", weight=0.5), folder=tmp_path)


def gzipped(data, level=9, name="mail.csv", **more):
    """Pack as Python's gzip does, with a name and a time in the header."""
    out = io.BytesIO()
    with gzip.GzipFile(name, "wb", level, out, mtime=more.get("mtime", 1_700_000_000)) as file:
        file.write(data)
    return out.getvalue()


def with_extra_field(data):
    """Pack with an extra field, a comment and a hash of the header, as bgzip and others may."""
    head = bytearray(gzipped(data, name="")[:10])
    head[3] = 4 | 16 | 2
    return bytes(head) + b"\x06\0BC\x02\0\x1b\0" + b"by hand\0" + b"\0\0" + gzipped(data, name="")[10:]


def by_command(command):
    """Pack by a program."""
    return lambda data: (
        subprocess.run([*command.split(), "-c"], input=data, capture_output=True, check=True).stdout
    )


HALVES = slice(0, 1000), slice(1000, None)
PACKED = {  # how a file was packed, and whether the journal need not keep it
    "fast.gz": (lambda d: gzipped(d, 1), True),
    "usual.gz": (lambda d: gzipped(d, 6), True),
    "best.gz": (lambda d: gzipped(d, 9), True),
    "nameless.gz": (lambda d: gzip.compress(d, mtime=0), True),
    "between.gz": (lambda d: gzipped(d, 4), False),
    "members.gz": (lambda d: b"".join(gzipped(d[part]) for part in HALVES), False),
    "extra.gz": (with_extra_field, False),
    "command.gz": (by_command("gzip -n"), None),
    "ours.zst": (lambda d: packed(d, "+zstd"), True),
    "frames.zst": (lambda d: b"".join(packed(d[part], "+zstd") for part in HALVES), False),
    "hard.zst": (lambda d: bytes(pa.Codec("zstd", 19).compress(d, asbytes=True)), None),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_files_come_back_byte_for_byte(name, tmp_path):
    path = tmp_path / f"rows.csv.{name.rpartition('.')[2]}"
    pack, is_known = PACKED[name]
    content = DELIMITED["crlf"]
    path.write_bytes(pack(content))
    target, journal, _ = run(path, mixed, folder=tmp_path)
    assert open_blob(str(target)).packing == open_blob(str(path)).packing != ""
    back = undo(journal, tmp_path / f"back{path.suffix}", in_place=False, force=False)
    assert back.identical
    assert back.path.read_bytes() == path.read_bytes()
    kept = "packed" in json.loads(journal.read_text(encoding="utf-8").partition("\n")[0])["parts"]
    assert is_known in (None, not kept)
    if is_known and name.endswith(".gz"):
        head = 10 if name == "nameless.gz" else 10 + len(b"mail.csv\0")
        assert target.read_bytes()[:head] == path.read_bytes()[:head]


def test_packed_json_comes_back_byte_for_byte(tmp_path):
    path = tmp_path / "rows.ndjson.gz"
    path.write_bytes(gzipped(JSON["rows.ndjson"] if "rows.ndjson" in JSON else next(iter(JSON.values()))))
    _, journal, _ = run(path, mixed, folder=tmp_path)
    assert (
        undo(journal, tmp_path / "back.gz", in_place=False, force=False).path.read_bytes()
        == path.read_bytes()
    )


def wide(n=N):
    """A table of 30 odd columns."""
    r = np.random.default_rng(0)
    day = dt.datetime(2024, 3, 31, 1, 30)  # noqa: DTZ001 - a column without a time zone

    def every(f):
        return [None if i % 7 == 3 else f(i) for i in range(n)]

    dictionary = pa.DictionaryArray.from_arrays(pa.array(every(lambda i: i % 3), pa.int8()), ["a", "b", "c"])
    nested = pa.list_(pa.struct([("s", pa.string()), ("d", pa.list_(pa.decimal128(9, 2)))]))
    columns = {
        "i8": pa.array(every(lambda i: i % 100), pa.int8()),
        "u64": pa.array(every(lambda i: 2**64 - 1 - i), pa.uint64()),
        "f32": pa.array(every(lambda i: i / 3), pa.float32()),
        "f16": pa.array(np.arange(n, dtype=np.float16)),
        "real": pa.array(every(lambda i: float("nan") if i % 5 == 0 else i / 7)),
        "bits": pa.array(r.integers(0, 2**63, n).view(np.float64)),
        "decimal": pa.array(every(lambda i: decimal.Decimal(i) / 100), pa.decimal128(20, 4)),
        "decimal256": pa.array(every(lambda i: decimal.Decimal(10) ** 40 + i), pa.decimal256(50, 0)),
        "bool": pa.array(every(lambda i: i % 2 == 0)),
        "string": pa.array(every(lambda i: HOSTILE[i % len(HOSTILE)])),
        "large": pa.array(every(str), pa.large_string()),
        "bytes": pa.array(every(lambda i: bytes([i, 0, 255])), pa.binary()),
        "fixed": pa.array(every(lambda i: bytes([i] * 4)), pa.binary(4)),
        "date32": pa.array(every(lambda i: day.date()), pa.date32()),
        "time": pa.array(every(lambda i: day.time()), pa.time64("us")),
        "naive": pa.array(every(lambda i: day), pa.timestamp("ms")),
        "berlin": pa.array(every(lambda i: day), pa.timestamp("us", "Europe/Berlin")),
        "ns": pa.array(every(lambda i: i * 10**9 + 1), pa.timestamp("ns", "UTC")),
        "duration": pa.array(every(lambda i: i), pa.duration("us")),
        "category": dictionary,
        "list": pa.array(every(lambda i: [None, i] * (i % 3))),
        "large_list": pa.array(every(lambda i: [str(i)] * (i % 4)), pa.large_list(pa.string())),
        "vector": pa.array(every(lambda i: [i, None, 2]), pa.list_(pa.int16(), 3)),
        "struct": pa.array(every(lambda i: {"a": i, "b": None if i % 2 else [str(i)]})),
        "deep": pa.array(every(lambda i: [{"s": "é", "d": [decimal.Decimal("1.10")]}] * (i % 3)), nested),
        "map": pa.array(every(lambda i: [("k", i)] * (i % 3)), pa.map_(pa.string(), pa.int32())),
        "nothing": pa.nulls(n),
        "empty": pa.nulls(n, pa.string()),
        "label": pa.array([["spam", "ham", "eggs"][i % 3] for i in range(n)]),
    }  # fmt: skip
    schema = pa.schema(
        [
            pa.field(name, a.type, metadata={"unit": "é"} if name == "real" else None)
            for name, a in columns.items()
        ],
        metadata={"pandas": "{}", "owner": "ada"},
    )
    return pa.table(list(columns.values()), schema=schema)


def _parquet(table, path):
    pq.write_table(table, path, row_group_size=16, compression={"list.list.element": "zstd", "label": "gzip"})


def _ipc(table, path, opened=pa.ipc.new_file):
    with opened(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=16)


def _polars(table):
    names = ["i8", "decimal", "string", "berlin", "ns", "duration", "list", "struct", "deep", "label", "real"]
    frame = pl.from_arrow(table.select(names))
    return frame.with_columns(
        category=pl.col("label").cast(pl.Categorical),
        enum=pl.col("label").cast(pl.Enum(["eggs", "ham", "spam"])),
    )


def _pandas_labels(table):
    at = table.column_names.index("label")
    return table.set_column(at, "label", table["label"].dictionary_encode())


FRAMES = {
    "rows.parquet": _parquet,
    "plain.parquet": lambda t, p: pq.write_table(t.drop_columns(["category"]), p, store_schema=False),
    "category.parquet": lambda t, p: _parquet(_pandas_labels(t), p),
    "polars.parquet": lambda t, p: _polars(t).write_parquet(p),
    "enum.parquet": lambda t, p: _polars(t).with_columns(label="enum").write_parquet(p),
    "rows.arrow": _ipc,
    "rows.feather": lambda t, p: _ipc(_pandas_labels(t), p),
    "stream.arrow": lambda t, p: _ipc(t.drop_columns(["decimal256"]), p, pa.ipc.new_stream),
    "polars.arrow": lambda t, p: _polars(t).write_ipc(p),
    "views.arrow": lambda t, p: (
        _polars(t).drop("category", "enum").write_ipc(p, compat_level=pl.CompatLevel.newest())
    ),
}


@pytest.mark.parametrize("weights", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("name", FRAMES)
def test_frames_come_back(name, weights, tmp_path):
    path = tmp_path / name
    FRAMES[name](wide(), path)
    before = path.read_bytes()
    target, journal, plan = run(path, lambda t: mixed(t, 1, weights), folder=tmp_path)
    back = undo(journal, tmp_path / f"back{path.suffix}", in_place=False, force=False).path
    assert path.read_bytes() == before
    old, new, again = (read_frame(open_blob(str(p))) for p in (path, target, back))
    assert again.table.schema.equals(old.table.schema, check_metadata=True)
    assert fingerprint(again.table) == fingerprint(old.table)
    exact = [c for c in old.table.column_names if c not in ("real", "bits")]  # NaN is not equal to itself
    assert again.table.select(exact).equals(old.table.select(exact), check_metadata=True)
    assert again.groups == old.groups
    assert sum(new.groups) == new.table.num_rows
    if old.layout is not None:
        assert set(lost(old.layout, new.layout)) <= {"the name of the writer", "the version of the format"}
        assert set(lost(old.layout, again.layout)) <= {"the name of the writer", "the version of the format"}
    dropped = [c.row for c in plan.only("drop")]
    kept = [row for row in range(N) if row not in dropped]
    others = [c for c in exact if c != "label"]
    assert new.table.select(others).to_pylist() == [old.table.select(others).to_pylist()[row] for row in kept]
    labels = old.table["label"].to_pylist()
    for change in plan.only("relabel"):
        labels[change.row] = change.label
    assert new.table["label"].to_pylist() == [labels[row] for row in kept]
    assert new.table.schema.metadata == old.table.schema.metadata
    if plan.only("weight"):
        weights = {c.row: c.weight for c in plan.only("weight")}
        assert new.table["weight"].to_pylist() == [weights.get(row, 1.0) for row in kept]


def _pandas(table):
    """A frame after a split, whose index pandas writes as a column."""
    frame = table.select(["i8", "f32", "string", "naive", "label"]).replace_schema_metadata().to_pandas()
    return frame.sample(frac=1, random_state=0)


LAYOUTS = {
    "groups": {"row_group_size": 7},
    "first": {"version": "1.0", "use_deprecated_int96_timestamps": True},
    "pages": {"data_page_version": "2.0", "write_page_index": True},
    "plain": {"use_dictionary": False, "compression": "none", "write_statistics": False},
    "some": {
        "use_dictionary": ["label"],
        "compression": {"label": "zstd", "f32": "gzip"},
        "write_statistics": ["i8"],
    },
    "encoded": {
        "use_dictionary": ["label"],
        "column_encoding": {"f32": "BYTE_STREAM_SPLIT", "string": "DELTA_BYTE_ARRAY"},
    },
    "sorted": {"sorting_columns": [pq.SortingColumn(0)]},
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_parquet_keeps_its_layout_and_what_pandas_says_of_it(name, tmp_path):
    path = tmp_path / "split.parquet"
    table = pa.Table.from_pandas(_pandas(wide()))
    pq.write_table(table, path, **LAYOUTS[name])
    target, journal, _ = run(path, lambda t: mixed(t, 1), folder=tmp_path)
    back = undo(journal, tmp_path / "back.parquet", in_place=False, force=False)
    old, new, again = (read_frame(open_blob(str(p))) for p in (path, target, back.path))
    assert lost(old.layout, new.layout) == lost(old.layout, again.layout) == ()
    assert again.groups == old.groups
    assert back.identical == (
        name != "first"
    )  # this library wrote it; times as twelve bytes it reads as others
    assert new.table.schema.metadata[b"pandas"] == old.table.schema.metadata[b"pandas"]
    before, after = pd.read_parquet(path), pd.read_parquet(target)
    assert after.index.isin(before.index).all()
    assert after.drop(columns="label").equals(before.loc[after.index].drop(columns="label"))


def test_a_file_sorted_by_its_labels_is_no_longer(tmp_path):
    path = tmp_path / "sorted.parquet"
    table = wide().select(["i8", "label"])
    pq.write_table(table.sort_by("label"), path, sorting_columns=[pq.SortingColumn(1)])
    findings = findings_of(path)
    decisions = Decisions(tuple(one(0, action="relabel", label="spam")(findings.labels)))
    blob = open_blob(str(path))
    assert repair(blob, make_plan(findings, decisions, blob=blob)).lost == ("the sort order",)


@pytest.mark.parametrize("name", ["rows.parquet", "category.parquet", "rows.feather"])
def test_frames_take_a_new_class(name, tmp_path):
    path = tmp_path / name
    FRAMES[name](wide(), path)
    decide = one(5, action="relabel", label="new")
    target, journal, _ = run(path, decide, folder=tmp_path, new_class=True)
    assert read_frame(open_blob(str(target))).table["label"][5].as_py() == "new"
    back = undo(journal, tmp_path / "back", in_place=False, force=False).path
    assert fingerprint(read_frame(open_blob(str(back))).table) == fingerprint(
        read_frame(open_blob(str(path))).table
    )


def test_the_fingerprint_sees_what_differs():
    table = wide()
    seen = {fingerprint(table)}
    assert fingerprint(pa.concat_tables([table.slice(0, 7), table.slice(7)])) in seen
    for name in table.column_names:
        turned = pa.concat_arrays([*table[name].slice(1).chunks, *table[name].slice(0, 1).chunks])
        at = table.column_names.index(name)
        changed = table.set_column(at, table.schema.field(at), turned)
        same = changed[name].to_pylist() == table[name].to_pylist()
        assert (fingerprint(changed) == fingerprint(table)) == same, name
    assert fingerprint(table.replace_schema_metadata({"owner": "bob"})) not in seen
    assert fingerprint(table.slice(1)) not in seen

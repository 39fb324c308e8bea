"""What can be repaired, and what is refused and why: labels in paths, archives, numbers with names."""

import http.server
import threading
import zipfile
from functools import partial

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data.formats.test_huggingface import save_to_disk, table
from repair.test_roundtrip import findings_of, run

from dataaudit.data.blob import open_blob
from dataaudit.data.load import load
from dataaudit.errors import DataError, SettingError
from dataaudit.repair.apply import place, repair, write_repair
from dataaudit.repair.decisions import Decision, Decisions
from dataaudit.repair.plan import make_plan
from dataaudit.repair.undo import undo

CSV = "x,label\n1,p\n2,q\n3,p\n"


def planned(path, *, audited=None, action="drop", label=None):
    """Return the plan for the first row of a file."""
    findings = findings_of(audited or path)
    row = findings.labels.filter(pl.col("source") == str(path))["row_id"][0]
    decisions = Decisions((Decision(row_id=row, action=action, label=label),), findings.provenance.run_id)
    return make_plan(findings, decisions, blob=open_blob(str(path)))


@pytest.mark.parametrize("action", ["drop", "relabel"])
def test_a_label_in_the_path_is_not_changed(tmp_path, action):
    for label in "pq":
        folder = tmp_path / f"label={label}"
        folder.mkdir()
        pl.DataFrame({"x": [1, 2]}).write_parquet(folder / "part-0.parquet")
    file = tmp_path / "label=p" / "part-0.parquet"
    with pytest.raises(
        SettingError, match=r"are in its path \(label=…\), so they cannot .*write the rows into"
    ):
        planned(file, audited=tmp_path, action=action, label="q" if action == "relabel" else None)


def test_a_file_of_a_folder_whose_label_is_inside(tmp_path):
    for month in (1, 2):
        folder = tmp_path / f"month={month}"
        folder.mkdir()
        (folder / "t.csv").write_text(CSV, encoding="utf-8")
        (folder / "t.csv").write_text(CSV.replace("3", str(month)), encoding="utf-8")
    file = tmp_path / "month=2" / "t.csv"
    done = repair(open_blob(str(file)), planned(file, audited=tmp_path))
    assert done.data.decode() == "x,label\n2,q\n2,p\n"


def test_archives_and_other_formats_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", CSV)
    with pytest.raises(SettingError, match=r"not repaired: csv\+zip. Hint: unpack it, audit the file inside"):
        planned(tmp_path / "t.zip")
    text = "@attribute x numeric\n@attribute label {p,q}\n@data\n1,p\n2,q\n"
    (tmp_path / "t.arff").write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=r"not repaired: arff. Hint: write it as CSV or Parquet"):
        planned(tmp_path / "t.arff")


@pytest.mark.parametrize("kind", ["saved", "t.parquet"])
def test_names_are_written_as_their_numbers(tmp_path, kind):
    rows = table((0, 1, 1, 0))
    if kind == "saved":
        source = next(save_to_disk(tmp_path / "d", rows).glob("*.arrow"))
    else:
        pq.write_table(rows, source := tmp_path / kind)

    def decide(labels):
        yield Decision(row_id=labels["row_id"][0], action="relabel", label="pos")

    fixed, journal, _ = run(source, decide, folder=tmp_path)
    assert load(fixed, target="label").frame["label"].to_list() == ["pos", "pos", "pos", "neg"]
    raw = pa.ipc.open_stream(fixed).read_all() if kind == "saved" else pq.read_table(fixed)
    assert raw["label"].to_pylist() == [1, 1, 1, 0]
    assert raw.schema.metadata[b"huggingface"] == rows.schema.metadata[b"huggingface"]
    undo(journal, tmp_path / f"back-{source.name}", in_place=False, force=False)
    assert load(tmp_path / f"back-{source.name}", target="label").frame["label"][0] == "neg"


def test_a_name_that_no_row_has(tmp_path):
    pq.write_table(table((0, 0, 0)), tmp_path / "t.parquet")

    def decide(label, labels):
        yield Decision(row_id=labels["row_id"][0], action="relabel", label=label)

    fixed = run(tmp_path / "t.parquet", partial(decide, "pos"), folder=tmp_path, new_class=True)[0]
    assert pq.read_table(fixed)["label"].to_pylist() == [1, 0, 0]
    (tmp_path / "new").mkdir()
    with pytest.raises(DataError, match="column 'label' holds numbers, and no name of one is '1'"):
        run(tmp_path / "t.parquet", partial(decide, "1"), folder=tmp_path / "new", new_class=True)


def test_a_file_that_is_elsewhere(tmp_path):
    (tmp_path / "t.csv").write_text(CSV, encoding="utf-8")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

    handler = partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/t.csv"
        plan = planned(address)
        done = repair(open_blob(address), plan)
        server.shutdown()
    with pytest.raises(
        SettingError, match=r"is elsewhere, and is not written over. Hint: name a file with --out"
    ):
        place(address, None, in_place=True, force=False)
    target = place(address, tmp_path / "fixed.csv", in_place=False, force=False)
    write_repair(done, address, target=target, in_place=False)
    assert target.read_text(encoding="utf-8") == "x,label\n2,q\n3,p\n"

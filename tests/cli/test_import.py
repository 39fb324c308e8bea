"""``audit import``: there and back by Label Studio's own converter, Argilla's records, a spreadsheet."""

import csv
import io
import json

import polars as pl
import pytest
from command import audit
from writers.example import made_up

from dataaudit.findings.schemas import Findings
from dataaudit.repair.decisions import read_decisions

TEXT, TABLE = "labels", "table"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Findings over a text, and over a table."""
    folder = tmp_path_factory.mktemp("import")
    made_up(n=24).write(folder / TEXT)
    made_up(n=24, text=False).write(folder / TABLE)
    return folder


def exported(folder, findings, to="labelstudio"):
    return audit("export", findings, "--to", to, "--top", "9", "-qq", cwd=folder).stdout


def taken(folder, findings, file, *more):
    """Import a file and return the decisions by row, and what was said."""
    out = folder / "decisions.jsonl"
    done = audit("import", file, findings, "-o", out, "--force", *more, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    read = read_decisions(out)
    assert read.run_id == Findings.read(folder / findings).provenance.run_id
    return {row.row_id: (row.action, row.label) for row in read.rows}, done.stderr


def choose(tasks):
    """Annotate by turns: keep, relabel, skip, leave alone; return the decisions and the tasks."""
    wanted = {}
    for number, task in enumerate(tasks):
        data, turn = task["data"], number % 4
        result = task["predictions"][0]["result"][0]
        chosen = data["label"] if turn == 0 else data["suggested_label"]
        answer = {"id": f"r{number}", **result, "value": {"choices": [chosen]}}
        one = {"id": number, "completed_by": 7, "was_cancelled": turn == 2, "result": [answer] * (turn < 2)}
        times = {"created_at": "2026-11-01T00:00:00Z", "updated_at": "2026-11-01T00:00:00Z", "lead_time": 3.5}
        task |= {"id": number, "annotations": [one | times] if turn < 3 else []}
        if turn < 3:
            act = [("keep", None), ("relabel", chosen), ("unsure", None)][turn]
            wanted[data["row_id"]] = act
    return tasks, wanted


@pytest.mark.parametrize("findings", [TEXT, TABLE])
def test_label_studio_gives_back_row_by_row_what_was_chosen(folder, findings):
    tasks, wanted = choose(json.loads(exported(folder, findings)))
    (folder / "export.json").write_text(json.dumps(tasks), encoding="utf-8")
    got, said = taken(folder, findings, "export.json")
    assert got == wanted
    assert "7 decisions are taken from export.json (Label Studio): 2 relabelled, 3 kept, 2 unsure." in said
    assert "Left out: 2 rows without a decision." in said
    assert f"audit apply {findings} " in said


@pytest.mark.parametrize("findings", [TEXT, TABLE])
@pytest.mark.parametrize("kind", ["JSON_MIN", "CSV", "TSV"])
def test_the_converter_of_label_studio_gives_the_same(folder, findings, kind):
    sdk = pytest.importorskip("label_studio_sdk.converter")
    audit("export", findings, "--to", "labelstudio", "--top", "9", "-o", "tasks.json", cwd=folder)
    tasks, wanted = choose(json.loads((folder / "tasks.json").read_text(encoding="utf-8")))
    (folder / "export.json").write_text(json.dumps(tasks), encoding="utf-8")
    converter = sdk.Converter(str(folder / "tasks.config.xml"), project_dir=None)
    out = folder / kind
    out.mkdir(exist_ok=True)
    if kind == "JSON_MIN":
        converter.convert_to_json_min(str(folder / "export.json"), str(out), is_dir=False)
    else:
        separator = "," if kind == "CSV" else "\t"
        converter.convert_to_csv(str(folder / "export.json"), str(out), is_dir=False, sep=separator)
    (file,) = out.glob("result.*")
    got, _ = taken(folder, findings, file)
    assert got == {name: act for name, act in wanted.items() if act[0] != "unsure"}  # it leaves out skips


@pytest.mark.parametrize("findings", [TEXT, TABLE])
def test_label_studio_takes_the_labelling_setup(folder, findings):
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface
    audit("export", findings, "--to", "labelstudio", "-o", "tasks.json", cwd=folder)
    setup = interface((folder / "tasks.config.xml").read_text(encoding="utf-8"))
    setup.validate()
    for task in json.loads((folder / "tasks.json").read_text(encoding="utf-8")):
        assert setup.validate_task({"data": task["data"]})
        assert setup.validate_prediction(task["predictions"][0])


def test_a_table_row_has_its_columns_as_fields(folder):
    tasks = json.loads(exported(folder, TABLE))
    assert all(isinstance(task["data"]["row"], dict) and len(task["data"]["row"]) > 1 for task in tasks)
    assert "text" not in tasks[0]["data"]


@pytest.mark.parametrize("flat", [True, False])
def test_argilla_gives_back_what_was_chosen(folder, flat):
    records = json.loads(exported(folder, TEXT, "argilla"))
    wanted, after = {}, []
    for number, record in enumerate(records):
        label, other = record["metadata"]["current_label"], record["suggestions"]["label"]["value"]
        status = ["submitted", "submitted", "discarded", "draft"][number % 4]
        value = label if number % 4 == 0 else other
        if flat:
            answer = {
                "label.responses": [value],
                "label.responses.users": ["u1"],
                "label.responses.status": [status],
            }
            after.append({"id": record["id"], **record["fields"], **record["metadata"], **answer})
        else:
            record["responses"] = {"label": [{"value": value, "user_id": "u1", "status": status}]}
            after.append(record)
        if number % 4 < 3:
            wanted[record["id"]] = [("keep", None), ("relabel", other), ("unsure", None)][number % 4]
    (folder / "records.json").write_text(json.dumps(after), encoding="utf-8")
    got, said = taken(folder, TEXT, "records.json")
    assert got == wanted
    assert "(Argilla)" in said


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_spreadsheet_comes_back_with_a_new_column(folder, separator):
    rows = list(csv.DictReader(io.StringIO(exported(folder, TABLE, "csv"), newline="")))
    wanted = {}
    for number, row in enumerate(rows):
        row["New Label"] = ["", row["label"], row["suggested_label"].upper(), "drop"][number % 4]
        if number % 4:
            act = [("keep", None), ("relabel", row["suggested_label"]), ("drop", None)][number % 4 - 1]
            wanted[row["row_id"]] = act
    out = io.StringIO(newline="")
    sheet = csv.DictWriter(out, list(rows[0]), delimiter=separator)
    sheet.writeheader()
    sheet.writerows(rows)
    (folder / "rows.csv").write_text(out.getvalue(), encoding="utf-16" if separator == "\t" else "utf-8-sig")
    got, said = taken(folder, TABLE, "rows.csv")
    assert got == wanted
    assert "classes in column New Label" in said
    pl.DataFrame(rows).write_parquet(folder / "rows.parquet")
    assert taken(folder, TABLE, "rows.parquet", "--label-column", "New Label")[0] == wanted


def test_labels_that_were_edited_in_place_are_the_decisions(folder):
    rows = list(csv.DictReader(io.StringIO(exported(folder, TEXT, "csv"), newline="")))
    rows[2]["label"] = rows[2]["suggested_label"]
    pl.DataFrame(rows).write_csv(folder / "edited.csv")
    got, said = taken(folder, TEXT, "edited.csv")
    assert got == {rows[2]["row_id"]: ("relabel", rows[2]["suggested_label"])}
    assert "Left out: 8 rows whose label is as it was." in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("row_id,new_label\nmail.csv:2,span\n", "did you mean 'spam'? Else add --new-class"),
        ("row_id,new_label\nnowhere:1,spam\n", "no row that was annotated is in the findings"),
        ("row_id,new_label\nmail.csv:2,\n", "holds no decision: Left out: 1 row without a decision"),
        ("id,new_label\n1,spam\n", "column 'row_id' is not in"),
        ("row_id,colour\nmail.csv:2,spam\n", "no column of bad.csv is known to hold the classes"),
        ('[{"data": {"text": "a"}, "annotations": []}]', "task 1 of bad.csv has no row_id"),
        ("row_id,new_label,run_id\nmail.csv:2,spam,0000\n", "the annotations are of run 0000"),
        ("[1, 2]", "holds no list of objects"),
        ('{"a"', "line 1 is not JSON"),
        ("[" * 100_000, "line 1 is not JSON"),
        ("", "bad.csv is empty"),
    ],
)
def test_what_cannot_be_taken_is_one_line(folder, text, said):
    first = Findings.read(folder / TEXT).labels["row_id"][0]
    (folder / "bad.csv").write_text(text.replace("mail.csv:2", first), encoding="utf-8")
    done = audit("import", "bad.csv", TEXT, "-o", "never.jsonl", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not (folder / "never.jsonl").exists()


def test_decisions_that_are_there_are_kept(folder):
    first = Findings.read(folder / TEXT).labels["row_id"][0]
    (folder / "one.csv").write_text(f"row_id,new_label\n{first},spam\n", encoding="utf-8")
    assert audit("import", "one.csv", TEXT, "-o", "kept.jsonl", cwd=folder).returncode == 0
    again = audit("import", "one.csv", TEXT, "-o", "kept.jsonl", cwd=folder)
    assert "kept.jsonl is there already. Hint: name another --out, or add --force." in again.stderr


def test_data_are_repaired_as_people_chose(tmp_path):
    """Audit, export, annotate, import, apply: row by row the labels that were chosen."""
    rows = pl.DataFrame(
        {
            "x": [float(i * i % 17) for i in range(60)],
            "colour": [["red", "blue"][i * i % 17 > 6] for i in range(60)],
            "y": [["no", "yes"][(i * i % 17 > 6) != (i % 13 == 0)] for i in range(60)],
        }
    )
    rows.write_csv(tmp_path / "data.csv")
    asked = ["--label", "y", "--verify", "0", "--out", "found", "-qq"]
    assert audit("labels", "data.csv", *asked, cwd=tmp_path).returncode == 0
    tasks, wanted = choose(json.loads(exported(tmp_path, "found")))
    assert set(tasks[0]["data"]["row"]) == {"x", "colour"}
    (tmp_path / "export.json").write_text(json.dumps(tasks), encoding="utf-8")
    got, said = taken(tmp_path, "found", "export.json")
    assert got == wanted
    words = (
        next(line for line in said.splitlines() if line.startswith("To repair")).split(": audit ")[1].split()
    )
    done = audit(*words, "--no-model", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    places = {f"data.csv:{at + 2}": at for at in range(60)}
    labels = rows["y"].to_list()
    for name, (act, label) in wanted.items():
        labels[places[name]] = label if act == "relabel" else labels[places[name]]
    assert pl.read_csv(tmp_path / words[-1])["y"].to_list() == labels

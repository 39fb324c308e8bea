"""Spreadsheets: which sheet, where its header is, and what its cells are."""

import datetime as dt
import zipfile
from xml.sax.saxutils import escape

import pytest

from dataaudit.data.load import load
from dataaudit.errors import DataError, MissingColumn, UnreadableFile

TABLE = [["id", "x", "y"], [1, 0.5, "p"], [2, 1.5, "q"], [3, None, "p"]]
STYLES = (
    '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><fonts><font/></fonts>'
    "<fills><fill/></fills><borders><border/></borders><cellStyleXfs><xf/></cellStyleXfs>"
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>'
)


@pytest.fixture
def fastexcel():
    return pytest.importorskip("fastexcel")


def cell(value, place):
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, dt.date):
        return f'<c r="{place}" s="1"><v>{(value - dt.date(1899, 12, 30)).days}</v></c>'
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
KINDS = (
    f'<Types xmlns="{PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Default Extension="xml" ContentType="{KIND}.worksheet+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{KIND}.sheet.main+xml"/></Types>'
)


def related(*parts):
    """Return the part that names others by a key."""
    inner = "".join(f'<Relationship Id="{k}" Type="{RELATED}/{t}" Target="{p}"/>' for k, t, p in parts)
    return f'<Relationships xmlns="{PACKAGE}/relationships">{inner}</Relationships>'


def write(path, **sheets):
    """Write the smallest workbook that Excel opens: a part for each sheet, and those that name them."""
    names = "".join(f'<sheet name="{n}" sheetId="{i + 1}" r:id="r{i}"/>' for i, n in enumerate(sheets))
    pages = [(f"r{i}", "worksheet", f"worksheets/sheet{i}.xml") for i in range(len(sheets))]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", KINDS)
        book.writestr("_rels/.rels", related(("r", "officeDocument", "xl/workbook.xml")))
        start = f'<workbook xmlns="{MAIN}" xmlns:r="{RELATED}">'
        book.writestr("xl/workbook.xml", f"{start}<sheets>{names}</sheets></workbook>")
        book.writestr("xl/_rels/workbook.xml.rels", related(*pages, ("s", "styles", "styles.xml")))
        book.writestr("xl/styles.xml", STYLES)
        for (_, _, part), rows in zip(pages, sheets.values(), strict=True):
            lines = "".join(
                f'<row r="{r}">{"".join(cell(v, f"{chr(65 + c)}{r}") for c, v in enumerate(row))}</row>'
                for r, row in enumerate(rows, 1)
                if row
            )
            page = f'<worksheet xmlns="{MAIN}"><sheetData>{lines}</sheetData></worksheet>'
            book.writestr(f"xl/{part}", page)
    return path


def test_one_sheet_with_data(tmp_path, fastexcel):
    path = write(tmp_path / "t.xlsx", Empty=[], Data=TABLE)
    result = load(path, target="y")
    assert result.frame.rows() == [(1, 0.5, "p"), (2, 1.5, "q"), (3, None, "p")]
    assert result.row_id.to_list() == [f"{path.as_posix()}#{i}" for i in range(3)]
    assert result.notes == (f"{path.as_posix()}: the rows are those of sheet 'Data'.",)
    assert result.origins[0].format == "xlsx"
    assert load(path, target="y", columns=["x"], id_column="id").row_id.to_list() == ["1", "2", "3"]
    with pytest.raises(MissingColumn, match=r"column 'z' is not in .*t.xlsx"):
        load(path, target="z")


def test_types_of_cells(tmp_path, fastexcel):
    day = dt.date(2024, 1, 2)
    path = write(tmp_path / "t.xlsx", S=[["d", "b", "m", "y"], [day, True, 1, 0], [None, False, "x", 1]])
    frame = load(path, target="y").frame
    assert frame["d"].dt.date().to_list() == [day, None]
    assert frame["b"].to_list() == [True, False]
    assert frame["m"].to_list() == ["1", "x"]
    assert frame["y"].to_list() == [0, 1]


@pytest.mark.parametrize(
    "above",
    [
        [["Our report"], []],
        [[], [], ["Created", dt.date(2024, 1, 1)]],
        [[], []],
    ],
)
def test_header_below_a_title(tmp_path, fastexcel, above):
    result = load(write(tmp_path / "t.xlsx", S=[*above, *TABLE]), target="y")
    assert result.frame.columns == ["id", "x", "y"]
    assert result.frame["y"].to_list() == ["p", "q", "p"]
    assert any("whose header is row" in note for note in result.notes)


def test_empty_rows_and_columns(tmp_path, fastexcel):
    rows = [["", "x", None, "y", "later"], [7, 1, None, "p"], [], [8, 2, None, "q"]]
    result = load(write(tmp_path / "t.xlsx", S=rows), target="y")
    assert result.frame.rows(named=True) == [
        {"column_1": 7, "x": 1, "y": "p", "later": None},
        {"column_1": 8, "x": 2, "y": "q", "later": None},
    ]
    assert any("column 1 has no name, so it is called 'column_1'" in note for note in result.notes)
    assert any("1 empty row was passed over" in note for note in result.notes)
    assert not any("column_3" in note for note in result.notes)


@pytest.mark.parametrize(
    ("sheets", "error", "message"),
    [
        ({"A": TABLE, "B": TABLE}, DataError, r"t.xlsx has 2 sheets with data: A, B. Hint: save the one"),
        ({"A": []}, DataError, "t.xlsx has no sheet with data"),
        ({"A": [["y", "y"], [1, 2]]}, DataError, r"column 'y' stands twice in the header of .*t.xlsx"),
        ({"A": [["x", "y"]]}, DataError, "t.xlsx has a header but no rows"),
    ],
)
def test_what_cannot_be_chosen(tmp_path, fastexcel, sheets, error, message):
    path = write(tmp_path / "t.xlsx", **sheets)
    with pytest.raises(error, match=message):
        load(path, target="y")


def test_what_is_broken(tmp_path, fastexcel):
    path = tmp_path / "t.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    with pytest.raises(
        UnreadableFile, match=r"t.xls is not a readable spreadsheet: .* Hint: save the sheet as CSV"
    ):
        load(path, target="y")
    book = write(tmp_path / "t.xlsx", S=TABLE)
    whole = book.read_bytes()
    book.write_bytes(whole[:-30])
    with pytest.raises(UnreadableFile, match="cannot be unpacked"):
        load(book, target="y")


def test_open_document(tmp_path, fastexcel):
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    lines = ""
    for row in [["x", "y"], ["a", "p"], ["b", "q"]]:
        cells = "".join(f"<text:p>{value}</text:p>|" for value in row).split("|")[:-1]
        kind = '<table:table-cell office:value-type="string">'
        lines += "<table:table-row>" + "".join(f"{kind}{c}</table:table-cell>" for c in cells)
        lines += "</table:table-row>"
    sheet = f'<office:spreadsheet><table:table table:name="S">{lines}</table:table></office:spreadsheet>'
    with zipfile.ZipFile(tmp_path / "t.ods", "w") as book:
        book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        content = f"<office:body>{sheet}</office:body>"
        book.writestr("content.xml", f"<office:document-content{spaces}>{content}</office:document-content>")
        book.writestr("META-INF/manifest.xml", "<manifest/>")
    assert load(tmp_path / "t.ods", target="y").frame.rows() == [("a", "p"), ("b", "q")]

"""Texts in other encodings than UTF-8: what they are taken for, and what is said of it."""

import pytest

from dataaudit.data.dataset import Dialect
from dataaudit.data.formats.encodings import decode
from dataaudit.data.load import load
from dataaudit.errors import SettingError, UnreadableFile
from dataaudit.options import TextOptions

WORDS = {
    "cp1252": ("José", "Größe", "façade – déjà vu", "Ångström"),
    "cp1250": ("Zażółć gęślą jaźń", "Proszę kupić teraz", "łódź"),
    "cp1251": ("Привет, как дела", "Купите сейчас со скидкой", "спам"),
    "cp1253": ("Καλημέρα κόσμε", "Αγοράστε τώρα"),
    "cp1254": ("Şimdi satın alın", "toplantı salıya ertelendi ığdır"),
    "cp1255": ("שלום עולם", "קנה עכשיו"),
    "cp1256": ("مرحبا بالعالم", "اشتر الآن"),
    "koi8-r": ("Привет, как дела", "Купите сейчас со скидкой"),
    "cp932": ("こんにちは世界", "今すぐ購入してください"),
    "euc_jp": ("こんにちは世界", "会議は火曜日に延期されました"),
    "gb18030": ("你好世界", "立即购买享受优惠", "会议推迟到星期二"),
    "big5": ("您好世界", "立即購買享受優惠"),
    "cp949": ("안녕하세요 세계", "지금 구매하세요"),
}


def rows(words, *, many):
    """A CSV with text in every row, or in two rows of 60."""
    texts = [words[i % len(words)] if many or i in (20, 45) else "plain" for i in range(60)]
    return [(f"{text} {i}" if many else text, "spam" if i % 2 else "ham") for i, text in enumerate(texts)]


def csv_of(table):
    return "text,y\r\n" + "".join(f'"{text}",{label}\r\n' for text, label in table)


@pytest.mark.parametrize("many", [True, False], ids=["every row", "two rows"])
@pytest.mark.parametrize("encoding", WORDS)
def test_a_code_page_is_guessed_and_said(encoding, many, tmp_path):
    table = rows(WORDS[encoding], many=many)
    path = tmp_path / "mail.csv"
    path.write_bytes(csv_of(table).encode(encoding))
    data = load(path, target="y")
    assert data.frame.rows() == table
    assert data.line.to_list() == list(range(2, 62))
    assert [note for note in data.notes if "is read as" in note and "add --encoding" in note]
    assert load(path, target="y", dialect=Dialect(encoding)).frame.rows() == table


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("words", ["cp1252", "cp932"])
@pytest.mark.parametrize("name", ["mail.csv", "mail"])
def test_utf_16_with_and_without_its_mark(encoding, words, name, tmp_path):
    table = rows(WORDS[words], many=True)
    path = tmp_path / name
    path.write_bytes(csv_of(table).encode(encoding))
    data = load(path, target="y")
    assert data.frame.columns == ["text", "y"]
    assert data.frame.rows() == table
    assert f"{path.as_posix()} is read as utf-{'32' if '32' in encoding else '16'}." in data.notes


def test_json_in_another_encoding(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes('{"t":"é","y":1}\r\n{"t":"ü","y":0}\r\n'.encode("utf-16"))
    assert load(path, target="y").frame.rows() == [("é", 1), ("ü", 0)]
    path.write_bytes('{"t":"déjà","y":1}\n{"t":"Müller","y":0}\n'.encode("cp1252"))
    assert load(path, target="y").frame.rows() == [("déjà", 1), ("Müller", 0)]


def test_what_is_named_is_taken_and_not_remarked_on(tmp_path):
    path = tmp_path / "mail.csv"
    path.write_bytes("t,y\né,p\n€,q\n".encode("cp850", errors="replace"))
    assert load(path, target="y", dialect=Dialect("cp850")).frame["t"].to_list() == ["é", "?"]
    path.write_bytes("t,y\né,p\n".encode("utf-16"))
    assert not load(path, target="y", dialect=Dialect("utf-16")).notes


@pytest.mark.parametrize(
    ("data", "named", "message"),
    [
        (b"t,y\n\xe9,p\n", "utf-8", r"not UTF-8: got byte 0xe9 at byte 4 \(line 2\)"),
        (b"t,y\n\x81,p\n", "cp1252", r"not Windows-1252: got byte 0x81 at byte 4 \(line 2\)"),
        (b"t,y\n1,p\nq", "utf-16", "not utf-16"),
        ("t,y\nñandú,p\nél,q\n".encode() + b"\xe9,p\n", None, r"got byte 0xe9 at byte 20 \(line 4\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_with_its_place(data, named, message):
    with pytest.raises(UnreadableFile, match=message):
        decode(data, "x.csv", named=named)


def test_an_encoding_that_does_not_exist_is_refused():
    with pytest.raises(SettingError, match=r"unknown encoding: got 'cp1225'.* did you mean 'cp125"):
        TextOptions(encoding="cp1225")
    with pytest.raises(SettingError, match="unknown encoding: got 'rot13'"):
        TextOptions(encoding="rot13")

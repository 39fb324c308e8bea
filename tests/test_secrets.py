"""What is taken out of addresses, keyword strings and SQL, what stays, and how long that takes."""

import time

import pytest

from dataaudit.errors import SettingError
from dataaudit.secrets import is_secret, known_secrets, masked, masked_query, masked_text, public, secrets_in

ADDRESSES = [
    ("postgresql://bob:pw@h:5432/x", "postgresql://bob@h:5432/x"),
    ("postgresql://bob:12/pw@#@h/x", "postgresql://bob@h/x"),
    ("postgresql://bob:p%40w@h/x?password=z&sslmode=require", "postgresql://bob@h/x?sslmode=require"),
    ("postgresql://h/x?pass%77ord=pw", "postgresql://h/x"),
    ("postgresql://h/x?options=-cpassword%3Dpw&user=me", "postgresql://h/x?user=me"),
    ("https://bob:pw@h/x.csv", "https://bob@h/x.csv"),
    ("https://ghp_abc@github.com/x", "https://github.com/x"),
    ("https:/bob:pw@h/x.csv", "https:/bob@h/x.csv"),
    ("https://h/x.csv?sv=1&sig=a%3D&se=2", "https://h/x.csv?sv=1&se=2"),
    ("https://h/x?X-Amz-Signature=a&X-Amz-Expires=3&X-Amz-Credential=b", "https://h/x?X-Amz-Expires=3"),
    ("s3://key:secret@bucket/x", "s3://key@bucket/x"),
    ("az://c/x?AccountKey=a==", "az://c/x"),
    ("host=h password='a b' user=me", "host=h  user=me"),
    ("host=h password=a;b'c dbname=d", "host=h  dbname=d"),
    ("dbname=d password = pw", "dbname=d "),
    ("Server=h;User Id=bob;Password=my pw;Database=d", "Server=h;User Id=bob;"),
    ("AccountName=a;AccountKey=ab==", "AccountName=a;"),
    ("postgres:host=h password=pw", "postgres:host=h "),
    ("md:x?motherduck_token=a", "md:x"),
    ("jdbc:sqlserver://h;user=a;password=b", "jdbc:sqlserver://h;user=a;"),
]
PLAIN = [
    "data/password=yes/part-0.parquet",
    "data/token=spam/*.csv",
    "C:/data/mail.csv",
    "https://h:8080/a@b.csv?page=3",
    "hf://datasets/me/mail@main/train.csv",
    "az://box@account.dfs.core.windows.net/x.csv",
    "postgresql://bob@h/x?sslmode=require&passfile=a",
    "$WAREHOUSE",
    "what? me@h = you",
]


@pytest.mark.parametrize(("address", "name"), ADDRESSES)
def test_an_address_is_named_without_its_secrets(address, name):
    assert public(address) == name
    said = str(SettingError(f"got {address}", f"not {address}"))
    assert not [secret for secret in secrets_in(address) if len(secret) > 1 and secret in said]
    assert not [secret for secret in secrets_in(address) if len(secret) > 1 and secret in name]


@pytest.mark.parametrize("path", PLAIN)
def test_a_path_stays_as_it_is(path):
    assert public(path) == masked(path) == path


@pytest.mark.parametrize(
    ("sql", "left"),
    [
        ("select * from t where password = 'x' and mail = 'a@b'",) * 2,
        ("select 'http://h:80/','a@b'",) * 2,
        ("select * from f('host=h password=x dbname=d')", "select * from f('host=h  dbname=d')"),
        (
            "select * from 'https://h/x?sig=a' -- postgresql://u:p@h",
            "select * from 'https://h/x' -- postgresql://u@h",
        ),
        ("select f(secret := 'x', \"password\")", "select f(secret := '', \"password\")"),
        ("select $$host=h password=x$$ /* pwd=x host=h */", "select $$host=h $$ /*  host=h */"),
    ],
)
def test_sql_loses_the_secrets_in_its_texts_alone(sql, left):
    assert masked_query(sql) == left


def test_a_message_hides_what_is_secret_in_it():
    assert masked_text("connect(password='x y', host=3)") == "connect(password=…, host=3)"
    assert masked_text("{'key': 1, 'secret': 'x'}") == "{'key': 1, 'secret': …}"
    assert masked_text("Authorization: Bearer abcdefghijk") == "Authorization: Bearer …"
    assert (
        masked_text("AWS_SECRET_ACCESS_KEY=x AWS_ACCESS_KEY_ID=y")
        == "AWS_SECRET_ACCESS_KEY=… AWS_ACCESS_KEY_ID=y"
    )
    assert masked_text("it says hunter2", ("hunter2",)) == "it says …"
    for text in ("token=spam: 3 rows", "the address has an @, /, ?", "--limit DA101=0.05", "a: b = c"):
        assert masked_text(text) == text


def test_names_of_secrets():
    for name in (
        "password",
        "sslpassword",
        "PGPASSWORD",
        "sig",
        "X-Goog-Signature",
        "access_token",
        "api-key",
    ):
        assert is_secret(name), name
    for name in (
        "user",
        "sslkey",
        "passfile",
        "AWS_ACCESS_KEY_ID",
        "tokenizer",
        "secretary",
        "max_tokens",
        "sign",
    ):
        assert not is_secret(name), name


def test_secrets_are_known_from_words_and_variables():
    there = {"DATABASE_URL": "postgresql://u:from%20url@h/x", "MY_TOKEN": "from-variable", "HOME": "/root"}
    assert known_secrets(["--sql", "host=h password=typed"], there) == (
        "from-variable", "from%20url", "from url", "typed"
    )  # fmt: skip


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "a://:",
        "a@://",
        "https://a@",
        "password=",
        "password='",
        "password=a;",
        "'password",
        "a='",
        "?a",
        "= ",
    ],
)
def test_long_and_hostile_texts_take_no_time(part):
    text = part * (200_000 // len(part))
    began = time.perf_counter()
    for mask in (public, masked_text, masked_query, secrets_in):
        mask(text)
    assert time.perf_counter() - began < 2

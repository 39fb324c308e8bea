"""Where a database is: an address or a file, with and without what is secret in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final, Literal

from dataaudit.data.blob import require_data
from dataaudit.errors import SettingError, UnreadableFile, closest
from dataaudit.escape import shown
from dataaudit.secrets import masked_text, public, secrets_in

VARIABLE: Final = "DATAAUDIT_SQL"
SQL_FORMATS: Final = ("postgresql", "sqlite", "duckdb")

_Kind = Literal["postgresql", "sqlite", "duckdb"]
_KINDS: Mapping[str, _Kind] = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "sqlite": "sqlite",
    "sqlite3": "sqlite",
    "duckdb": "duckdb",
}
_FORMS = "write postgresql://user@host/db, sqlite:///mail.db or duckdb:///mail.duckdb"
_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9]*)(?:\+\w+)?://(?P<rest>.*)", re.DOTALL)
_LOGIN = re.compile(r"(?P<user>[^:@/?#\s]*)(?::(?P<password>[^@/?#\s]*))?@(?P<place>[^@#\s]*)")
_UNLIKE_A_PATH = re.compile(r"@|\b(?:host|dbname|user|password)\s*=")  # may hold a secret: it is not repeated
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_HEAD = 2048  # bytes that say what a file is
_SQLITE, _DUCKDB, _DUCKDB_AT = b"SQLite format 3\0", b"DUCK", 8


@dataclass(frozen=True, slots=True)
class Connection:
    """A database."""

    kind: _Kind
    target: str = field(repr=False)  # what the driver is given: an address with its secrets, or a path
    name: str  # the same for people, printable and without secrets
    secrets: tuple[str, ...] = field(default=(), repr=False)  # passwords in `target`, as written and as meant

    def quiet(self, message: str) -> str:
        """Return a driver's message without secrets, should it quote any."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            message = message.replace(secret, "…")
        return masked_text(message)


def connect_to(given: str | None) -> Connection:
    """Read an address, a path, or ``$NAME`` of an environment variable; by default ``$DATAAUDIT_SQL``."""
    text = _looked_up(given)
    address = _ADDRESS.fullmatch(text)
    if address is None:
        if _UNLIKE_A_PATH.search(text):
            raise SettingError("what was given as the database is neither an address nor a file", _FORMS)
        return _file(text, None)
    kind = _KINDS.get(address["scheme"].lower())
    if kind is None:
        what = f"databases of {shown(address['scheme'])} are not read: PostgreSQL, SQLite and DuckDB are"
        raise SettingError(what, "export the query's result as Parquet or CSV")
    if kind == "postgresql":
        return _server(address["rest"])
    path = address["rest"].removeprefix("/")
    if not address["rest"].startswith("/") or path in ("", ":memory:"):
        raise SettingError(f"the address of a {kind} file has three slashes and a path", _FORMS)
    return _file(path, kind)


def _looked_up(given: str | None) -> str:
    """Return what was given, or what the environment variable holds that was named."""
    match = _VARIABLE.fullmatch((given or f"${VARIABLE}").strip())
    if match is None:
        return given or ""
    name = match[1] or match[2]
    value = os.environ.get(name, "").strip()
    if value:
        return value
    if given is None:
        raise SettingError("a query was given and no database", f"name one with --sql or {VARIABLE}")
    raise SettingError(f"the environment variable {name} is not set", f"export {name}=postgresql://…")


def _server(rest: str) -> Connection:
    """Read the address of a server; what libpq would take apart in another way is refused unseen."""
    login = _LOGIN.fullmatch(rest) if "@" in rest else None
    if "@" in rest and login is None:
        what = "the address of the database has an @, /, ?, # or space where none may be"
        raise SettingError(what, "in user and password write %40 for @, %2F for /, %3F for ?, %23 for #")
    address = f"postgresql://{rest}"
    name = public(address)
    plain = {login["user"] if login else "", *re.split(r"[@:/?&=]", name)}
    return Connection("postgresql", address, shown(name), tuple(sorted(secrets_in(address) - plain)))


def _file(path: str, kind: _Kind | None) -> Connection:
    name = shown(public(PurePath(path).as_posix()))
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        from dataaudit.data.pointers import absent  # noqa: PLC0415 - most files are there

        raise absent(path) or UnreadableFile(f"there is no database {name!r}", _near(path)) from error
    except OSError as error:
        raise UnreadableFile(
            f"{name} cannot be read: {error.strerror}", "name a file you may read"
        ) from error
    require_data(head, path)
    found: _Kind | None = "sqlite" if head.startswith(_SQLITE) else None
    if head[_DUCKDB_AT:].startswith(_DUCKDB):
        found = "duckdb"
    if found is None or kind not in (None, found):
        what = f"{name} is not a database of {'SQLite' if kind == 'sqlite' else 'DuckDB'}"
        what = what if kind else f"{name} is a database neither of SQLite nor of DuckDB"
        hint = f"write {found}:///{name}" if found else "audit a table's file by its path, without --sql"
        raise UnreadableFile(what, hint)
    return Connection(found, path, name)


def _near(path: str) -> str:
    try:
        names = [entry.name for entry in Path(path).parent.iterdir()]
    except (OSError, ValueError):
        return _FORMS
    near = closest(PurePath(path).name, names)
    return f"did you mean {shown(str(PurePath(path).with_name(near)))!r}?" if near else _FORMS

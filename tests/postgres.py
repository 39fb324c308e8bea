"""A real PostgreSQL server for the tests: of its own, in a temporary folder, on a loopback port."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

USER, PASSWORD = "alice", "s3cret-hunter2"
_OPTIONS = "-c fsync=off -c listen_addresses=127.0.0.1 -c lc_messages=C -c timezone=Asia/Tokyo"


@dataclass(frozen=True)
class Server:
    """Where it is."""

    port: int

    def address(self, *, password=PASSWORD, database="postgres", user=USER):
        """Return an address with a password, or without."""
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def run(self, *statements, database="postgres"):
        """Carry out statements one by one."""
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self.address(database=database), autocommit=True) as connection:
            for statement in statements:
                with connection.cursor() as cursor:
                    cursor.execute(statement)


def _program(name):
    found = shutil.which(name) or next(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    if found is None:
        pytest.skip(f"PostgreSQL's {name} was not found; tests/setup.sh installs it")
    return found


def _whom():
    """The server refuses to run as root."""
    if os.geteuid():
        return getpass.getuser()
    known = Path("/etc/passwd").read_text(encoding="utf-8")
    return "postgres" if "\npostgres:" in known else "nobody"


def _call(*command, folder):
    log = folder / "log"
    with log.open("ab") as out:
        whom = {} if os.geteuid() else {"user": _whom(), "extra_groups": []}
        done = subprocess.run(command, cwd=folder, stdout=out, stderr=out, check=False, timeout=60, **whom)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


@contextmanager
def running() -> Iterator[Server]:
    """Start a server and stop it in the end; skip where PostgreSQL is not installed."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    folder = Path(
        tempfile.mkdtemp(prefix="dataaudit-")
    )  # short, for the socket, and not below a root-only one
    try:
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        if not os.geteuid():
            for path in (folder, folder / "password"):
                shutil.chown(path, _whom())
        data = str(folder / "data")
        login = "-U", USER, "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"
        _call(initdb, "-D", data, *login, "-N", "-E", "UTF8", "--locale=C", folder=folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = f"{_OPTIONS} -p {port} -k {folder}"
        _call(
            pg_ctl,
            "-D",
            data,
            "-w",
            "-l",
            str(folder / "data" / "log"),
            "-o",
            options,
            "start",
            folder=folder,
        )
        try:
            yield Server(port)
        finally:
            _call(pg_ctl, "-D", data, "-m", "immediate", "stop", folder=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

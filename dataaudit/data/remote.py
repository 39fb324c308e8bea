"""Files that are elsewhere: ``s3://``, ``gs://``, ``az://``, ``hf://`` and others through fsspec, ``https://``.

Torch brings fsspec; the protocol of a store is a package of its own. The web needs none: Python reads it.
An address is shown without what is secret in it: a password, a token, the signature of a signed address.
"""

from __future__ import annotations

import base64
import glob
import re
import urllib.error
import urllib.request
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from dataaudit.errors import DataError, UnreadableFile, closest
from dataaudit.escape import shown
from dataaudit.secrets import masked_text, public

_DATABASES: Final = ("postgresql", "postgres", "sqlite", "sqlite3", "duckdb", "mysql", "mssql", "oracle")
_WEB: Final = ("http", "https")
_SECONDS: Final = 60  # without a byte from the server
_PACKAGES: Final = {"huggingface_hub": "huggingface-hub", "fsspec": "aiohttp"}


def file_name(address: str) -> str:
    """Return the path in an address: its suffix says what the file is."""
    return unquote(urlsplit(address).path) if _scheme(address) in _WEB else address


def fetch(address: str) -> bytes:
    """Return the bytes of a file."""
    if _scheme(address) in _WEB:
        return _from_web(address)
    system, path = _opened(address)
    try:
        data: bytes = system.cat_file(path)
    except Exception as error:  # every store raises errors of its own
        raise _unreadable(address, error) from error
    return data


def files_at(address: str) -> tuple[list[str], bool]:
    """Return the files that an address means, and whether these are all that lie below it."""
    scheme = _scheme(address)
    if scheme in _DATABASES or not scheme:  # not repeated: it may hold a password
        raise UnreadableFile(
            "an address is no file", "a database is read by --sql ADDRESS --query 'select …'"
        )
    if scheme in _WEB:
        return [address], False
    system, path = _opened(address)
    try:
        is_folder = not glob.has_magic(path) and system.isdir(path)
        if not is_folder and not glob.has_magic(path):
            return [address], False
        found = sorted(system.find(path) if is_folder else system.glob(path))
        found = [name for name in found if not (_is_hidden(name, path) if is_folder else system.isdir(name))]
    except Exception as error:  # every store raises errors of its own
        raise _unreadable(address, error) from error
    if not found:
        raise UnreadableFile(f"no file is at '{shown(public(address))}'", "check the address")
    return [_with_login(address, system.unstrip_protocol(name)) for name in found], is_folder


def _is_hidden(name: str, folder: str) -> bool:
    """Whether a file is others' bookkeeping: ``.x`` or ``_x``, or in such a folder."""
    parts = PurePosixPath(name.removeprefix(folder)).parts
    return any(part.startswith(".") or (part[0] == "_" and "=" not in part) for part in parts)


def _scheme(address: str) -> str:
    scheme, mark, _ = address.partition("://")
    return scheme.lower() if mark and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) else ""


def _with_login(address: str, found: str) -> str:
    """Return an address that was found with the user and password by which it was."""
    login = urlsplit(address).netloc.rpartition("@")[0]
    scheme, _, rest = found.partition("://")
    return f"{scheme}://{login}@{rest}" if login and "@" not in rest.partition("/")[0] else found


def _opened(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    import fsspec  # noqa: PLC0415 - few data are elsewhere
    from fsspec.registry import known_implementations  # noqa: PLC0415 - the same

    scheme = _scheme(address)
    try:
        opened: tuple[Any, str] = fsspec.core.url_to_fs(address)
    except ImportError as error:
        module = str(known_implementations.get(scheme, {}).get("class", scheme)).partition(".")[0]
        what = f"{shown(public(address))} needs a package for {scheme}://"
        raise UnreadableFile(what, f"pip install {_PACKAGES.get(module, module)}") from error
    except ValueError as error:
        near = closest(scheme, known_implementations)
        hint = f"did you mean {near}://?" if near else "download the file"
        raise UnreadableFile(f"addresses of {shown(scheme)}:// are not read", hint) from error
    except Exception as error:  # every store raises errors of its own
        raise _unreadable(address, error) from error
    return opened


def _from_web(address: str) -> bytes:
    parts = urlsplit(address)
    login, _, host = parts.netloc.rpartition("@")
    bare = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    request = urllib.request.Request(bare, headers={"User-Agent": "dataaudit"})  # noqa: S310 - http or https
    if login:
        word = base64.b64encode(unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {word}")
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - the same
            data: bytes = answer.read()
            kind = answer.headers.get_content_type()
    except (OSError, ValueError) as error:  # URLError is an OSError, a bad address a ValueError
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise _unreadable(address, error) from error
    if kind == "text/html" and data.lstrip()[:1] == b"<":
        what = f"{shown(public(address))} is a web page, not a table"
        raise DataError(what, "give the address of the file itself: 'raw' or 'download' on that page")
    return data


def _unreadable(address: str, error: Exception) -> UnreadableFile:
    """Return one line for what a store or server says, without the address as it was given."""
    cause = str(getattr(error, "reason", "") or error) or type(error).__name__
    if isinstance(error, urllib.error.HTTPError):
        cause = f"{error.code} {error.reason}"
    if isinstance(error, FileNotFoundError):
        cause = "there is no such file"
    cause = masked_text(cause.replace(address, public(address)).split("\n", 1)[0])
    what = f"{shown(public(address))} cannot be read: {shown(cause)}"
    return UnreadableFile(what, "check the address, and that your credentials are set for it")

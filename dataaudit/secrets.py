"""Secrets: passwords, tokens and keys are masked here for every output, log, cache, provenance and error.

Addresses bring them (``postgresql://user:password@host``, ``?password=``, ``https://…?sig=``), so do the
keyword strings of drivers (``host=db password=x``, ``Server=db;Pwd=x``), SQL that attaches another database,
and environment variables. What is stored to be asked again, an address or a query, loses the secret: the
driver then asks PGPASSWORD or ~/.pgpass. What is only said shows ``…`` in its place. Rather too much is taken
out than too little: a password with an unescaped @ or / in it is no valid address, but still secret.

Every `AuditError` goes through `masked_text`, whoever raises it; the rest is in the hands of `public`, for
what a source is called, and `masked_words`, for what was typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import unquote, unquote_plus

_WORDS: Final = re.compile(
    "passw(or)?d|passphrase|pwd$|secret(?!ary)|credential|signature|(api|access|account|private|shared|storage)key"
    "|(.token|bearer)$"
)
_SHORT: Final = frozenset({"auth", "authorization", "code", "key", "pass", "pw", "sas", "sig", "token"})
_NO_SECRET: Final = ("id", "file", "path", "dir", "name")  # AWS_ACCESS_KEY_ID; where a secret is kept
_SCHEME: Final = re.compile(r"(?<![\w+.-])([A-Za-z][\w+.-]*):/{1,3}")
_DATABASES: Final = ("postgres", "mysql", "mariadb", "mssql", "oracle", "redshift", "mongo", "redis", "jdbc")
_MARK: Final = re.compile(r"[:@/?#\s]")
_PORT: Final = re.compile(r"\d*(?:[/?#]|$)")  # after the colon of https://host:8080/a@b
_PARAMETER: Final = re.compile(r"([?&])([\w%.+-]+)=[^&\s]*")
_PAIR: Final = re.compile(
    r"(?<![\w.%?&/-])([\"']?)([\w.%-]+)\1\s*(?:=>?|:=|:(?=\s*[\"']))\s*"
)  # and its value:
_VALUE: Final = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|(?:[^\s;'\"][^\n;'\"]*;)?\S+")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_KEYWORDS: Final = re.compile(
    r"(?i)(?:^|[\s:;'\"])(?:host|hostaddr|server|dbname|data source|accountname|user|user id|uid)\s*="
)
_QUOTED: Final = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$", re.DOTALL
)
_ARGUMENT: Final = re.compile(r"(?i)(?<!\w)(\w+)(\s*(?::=|=>)\s*)'(?:[^']|'')*'")
_ADDRESSES: Final = ("--sql", "--test-sql")  # options whose value is an address, spaces and all
_QUERIES: Final = ("--query", "--test-query")
_VARIABLE: Final = re.compile(
    r"(?i)(password|passwd|secret|token|_key|_pwd)$"
)  # the name of one that is secret
_LEAST, _LEAST_OF_VARIABLE = 4, 8  # characters below which a secret is looked for by its place alone
_GONE: Final = "…"


def public(source: str) -> str:
    """Return the name of a source without the secrets of its address; a path stays what it is."""
    is_address = _SCHEME.search(source) is not None or _KEYWORDS.search(source) is not None
    return _address(source) if is_address else _without_parameters(source) if "?" in source else source


def masked(text: str) -> str:
    """Return a text without the secrets of the addresses in it."""
    return _without_parameters(re.sub(r"\S+", lambda token: _without_login(token[0]), text))


def masked_text(text: str, known: Sequence[str] = ()) -> str:
    """Return what people read without the secrets in it, those of addresses and `known` ones."""
    for secret in known:
        text = text.replace(secret, _GONE)
    if "=" in text or ":" in text:
        text = _without_pairs(masked(text), hide=True)
    return _BEARER.sub(rf"\1 {_GONE}", text)


def masked_query(sql: str) -> str:
    """Return SQL without the secrets of the addresses and keyword strings in its literals and comments."""
    return _QUOTED.sub(_literal, _ARGUMENT.sub(_emptied, sql))


def masked_words(words: Sequence[str]) -> list[str]:
    """Return the words of a command line without secrets."""
    done, before = [], ""
    for word in words:
        name, equals, value = word.partition("=") if word.startswith("--") else (before, "", word)
        mask = _address if name in _ADDRESSES else masked_query if name in _QUERIES else masked
        done.append(f"{name}={mask(value)}" if equals and name != before else mask(word))
        before = word
    return done


def known_secrets(words: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets that were typed or are in variables, as written and as meant, the longest first."""
    found = {secret for text in (*words, *environment.values()) for secret in secrets_in(text)}
    found = {secret for secret in found if len(secret) >= _LEAST}
    found |= {v for name, v in environment.items() if _VARIABLE.search(name) and len(v) >= _LEAST_OF_VARIABLE}
    return tuple(sorted(found, key=lambda secret: (-len(secret), secret)))


def secrets_in(address: str) -> set[str]:
    """Return the secrets of an address, as written and as meant."""
    given = [address[start:end].lstrip(":").rstrip("@") for start, end in _logins(address)]
    given += [m[0].partition("=")[2] for m in _PARAMETER.finditer(address) if is_secret(m[2])]
    values = [address[start:end] for _, start, end in _pairs(address, is_secret)]
    given += [form for value in values for form in (value, value.strip("'\""), value.partition(";")[0])]
    return {form for secret in given for form in (secret, unquote(secret), unquote_plus(secret)) if form}


def is_secret(name: str) -> bool:
    """Whether a parameter of this name holds a secret."""
    plain = _plain(name)
    return plain in _SHORT or (_WORDS.search(plain) is not None and not plain.endswith(_NO_SECRET))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", unquote(name).lower())


def _address(text: str) -> str:
    return _without_pairs(_without_parameters(_without_login(text)))


def _logins(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the secret of a login begins and ends, up to the last @: at most one."""
    last = text.rfind("@")
    for scheme in _SCHEME.finditer(text):
        if scheme.end() > last:
            return
        mark = _MARK.search(text, scheme.end())
        name = scheme[1].lower()
        if mark is None or mark.start() > last:
            return
        is_login = name.startswith(_DATABASES) or not _PORT.match(text, mark.end())
        if mark[0] == ":" and is_login:
            yield mark.start(), last
            return
        if mark[0] == "@" and name.endswith(("http", "https")):  # https://token@host
            yield scheme.end(), mark.end()
            return


def _without_login(text: str) -> str:
    for start, end in _logins(text):
        return text[:start] + text[end:]
    return text


def _without_parameters(text: str) -> str:
    """Return a text without the secret ones of ``?a=b&c=d``, so that what is left is an address still."""
    less = _PARAMETER.sub(_parameter, text)
    if less == text:
        return text
    return re.sub(r"[?&]+(?=$|[\s'\"])", "", re.sub(r"([?&])&+", r"\1", less))


def _parameter(found: re.Match[str]) -> str:
    inner = unquote(found[0]) if "%3d" in found[0].lower() else ""  # options=-cpassword%3Dx
    return found[1] if is_secret(found[2]) or _without_pairs(inner) != inner else found[0]


def _pairs(text: str, wanted: Callable[[str], bool]) -> Iterator[tuple[int, int, int]]:
    """Yield where the pairs whose name is wanted, their values, and the ends of these are."""
    at = 0
    while pair := _PAIR.search(text, at):
        at = pair.end()
        if wanted(pair[2]) and (value := _VALUE.match(text, at)):
            at = value.end()
            yield pair.start(), value.start(), at


def _without_pairs(text: str, *, hide: bool = False) -> str:
    """Return a text without its secret pairs, or with their values hidden."""
    kept, at = [], 0
    for start, value, end in _pairs(text, _is_clear if hide else is_secret):
        kept += [text[at:value], _GONE] if hide else [text[at:start]]
        at = end
    return "".join([*kept, text[at:]])


def _is_clear(name: str) -> bool:
    """Whether a name is a secret's in any text: ``token=spam`` alone may be a folder or a condition."""
    return is_secret(name) and _plain(name) not in _SHORT


def _literal(found: re.Match[str]) -> str:
    """Return a quoted text or a comment; only what looks like an address is touched."""
    text, tag = found[0], found["tag"]
    quote = text[0] if text[0] in "'\"" else "" if tag is None else f"${tag}$"
    inner = text[len(quote) : -len(quote)] if quote else text
    return f"{quote}{public(inner)}{quote}"


def _emptied(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}''" if is_secret(found[1]) else found[0]

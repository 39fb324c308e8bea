"""The documentation: generated pages hold everything, and the site builds without a word to other servers."""

import io
import json
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import jsonschema
import pytest
import typer
from report.made import MADE

import dataaudit
from dataaudit.cli.app import tree
from dataaudit.findings.schemas import KINDS
from dataaudit.report import shown
from dataaudit.writers.json import WRITERS

ROOT = Path(__file__).resolve().parents[1]
OWN = re.compile(r'(?:src|<link[^>]*href)="(https?:[^"]*)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site of a copy of the pages, as `make docs` does."""
    copy = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "docs", copy / "docs")
    shutil.copy(ROOT / "zensical.toml", copy)
    subprocess.run([sys.executable, str(ROOT / "docs" / "generate.py"), str(copy / "docs")], check=True)
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict"],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return copy


def test_every_page_is_in_the_navigation_and_every_one_there_exists(site):
    nav = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    assert set(re.findall(r'"([\w-]+\.md)"', nav)) == {page.name for page in (site / "docs").glob("*.md")}


class Page(HTMLParser):
    """The places of a page, and what it links to or shows."""

    def __init__(self, path):
        super().__init__()
        self.places, self.links = set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, _, attributes):
        named = dict(attributes)
        self.places |= {named.get("id")}
        self.links += [link for link in (named.get("href"), named.get("src")) if link]


def test_links_pictures_and_places_of_the_site_are_there(site):
    pages = {path: Page(path) for path in (site / "site").rglob("index.html")}
    count = 0
    for path, page in pages.items():
        for link in page.links:
            there, _, place = unquote(link).partition("#")
            if "://" in link or place.startswith("__"):  # switches of the page itself
                continue
            found = (path.parent / there).resolve() if there else path
            assert found.is_relative_to(site / "site"), f"{path}: {link}"  # it may be served below an address
            found = found / "index.html" if found.is_dir() else found
            assert found.is_file(), f"{path}: {link}"
            assert not place or found not in pages or place in pages[found].places, f"{path}: {link}"
            count += 1
    assert count > 1000


def test_every_rule_command_option_and_public_name_has_its_place(site):
    rules, commands, python = (
        (site / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("rules", "commands", "python")
    )
    for pack in (ROOT / "rules").glob("*.toml"):
        for rule in tomllib.loads(pack.read_text(encoding="utf-8"))["rule"]:
            assert f"\n## {rule['code']} {rule['name']}\n" in rules
    for name, command in typer.main.get_command(tree()).commands.items():
        assert f"\n## audit {name}\n" in commands
        shown = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
        assert all(f"`{one.opts[0]}`" in commands for one in shown)
    for name in dataaudit.__all__:
        assert f"\n## {name}\n" in python or f"`{name}`" in python or name == "__version__"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_as_json_fits_its_schema(site, kind):
    schema = json.loads((site / "docs" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    assert (site / "site" / f"{kind}.schema.json").exists()
    jsonschema.Draft202012Validator.check_schema(schema)
    tables, report = shown(MADE[kind]())
    out = io.StringIO()
    WRITERS["json"].write(tables, report, out)
    document = json.loads(out.getvalue())
    jsonschema.validate(document, schema)
    del document[next(iter(tables.SCHEMAS))]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_the_site_asks_nothing_of_other_servers(site):
    pages = list((site / "site").rglob("*.html"))
    assert len(pages) >= 16
    assert {link for page in pages for link in OWN.findall(page.read_text(encoding="utf-8"))} == set()

"""A real browser: Debian's Chromium, driven by Playwright, offline."""

import shutil
from contextlib import contextmanager

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'"
)


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium, or run tests/setup.sh")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Open a file; on the way out, nothing may have been said on the console, asked for, or popped up."""

    @contextmanager
    def opened(path, *, width=1280, script=True, scheme="light", context=None):
        own = context or chromium.new_context(
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            color_scheme=scheme,
            accept_downloads=True,
        )
        page, told = own.new_page(), []
        page.on("console", lambda message: told.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: told.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (told.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: told.append(f"request: {request.url}"))
        address = path.resolve().as_uri()
        page.goto(address)
        yield page
        assert [line for line in told if line not in (f"request: {address}", f"request: {page.url}")] == []
        page.close()
        if context is None:
            own.close()

    return opened


@pytest.fixture(scope="session")
def mails(tmp_path_factory):
    """300 short mails in a CSV file, 30 of them with the wrong label; their audit is in ``findings``."""
    import numpy as np
    import polars as pl

    from dataaudit import cli

    random = np.random.default_rng(0)
    words = {
        "spam": ["offer", "win", "cash", "prize", "click", "now"],
        "ham": ["meeting", "gas", "deal", "notes", "report", "today"],
    }
    shared = ["the", "of", "to", "and", "in", "a", "for", "on", "with", "we", "you\nit"]
    truth = random.choice(["ham", "spam"], 300)
    texts = [
        " ".join(random.permutation([*random.choice(words[name], 8), *random.choice(shared, 12)]))
        for name in truth
    ]
    wrong = random.permutation(300)[:30]
    label = truth.copy()
    label[wrong] = np.where(truth[wrong] == "ham", "spam", "ham")
    folder = tmp_path_factory.mktemp("mails")
    pl.DataFrame({"id": [f"m{i}" for i in range(300)], "text": texts, "label": label}).write_csv(
        folder / "mail.csv"
    )
    given = ["--label", "label", "--text", "text", "--verify", "2", "--out", str(folder / "findings"), "-qq"]
    assert cli.main(["labels", str(folder / "mail.csv"), *given]) == 0
    return folder

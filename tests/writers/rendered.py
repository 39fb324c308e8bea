"""Markdown as a site renders it: a CommonMark parser with tables, then what sites look for in its text."""

import re

from markdown_it import MarkdownIt
from writers.pages import Page

# What GitHub and GitLab make links, notifications or formulas of, once Markdown has been read.
ACTIVE = re.compile(
    r"(?<!\w)@\w|#\w|\bgh-\d|[!%&~$^]\w|~\"|\w://|\bwww\.\w|\$\S|\S+@\S+\.\w",
    re.IGNORECASE,
)


class Rendered(Page):
    """The HTML of a document: its elements, its text outside of code, and its code spans."""

    def __init__(self, text):
        super().__init__()
        self.loose, self.codes = [], []
        parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
        self.html = parser.render(text)
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        if tag == "code":
            self.codes.append("")

    def handle_data(self, data):
        super().handle_data(data)
        if "code" in self.stack:
            self.codes[-1] += data
        else:
            self.loose.append(data)

    @property
    def active(self):
        return [match.group() for text in self.loose for match in ACTIVE.finditer(text)]

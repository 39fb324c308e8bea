"""A reader of the page that knows what HTML forbids: what it collects is what the tests look at."""

from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "input", "link", "br", "img", "hr"}


class Page(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.stack, self.errors, self.links, self.ids = [], [], [], []
        self.count, self.names, self.texts, self.elements = Counter(), set(), {}, []

    def handle_starttag(self, tag, attrs):
        self.count[tag] += 1
        self.names |= {tag, *(f"{tag} {name}" for name, _ in attrs)}
        values = dict(attrs)
        self.elements.append((tag, values, tuple(self.stack)))
        self.links += [values[name] for name in ("href", "src", "action", "xlink:href") if name in values]
        self.ids += [values["id"]] if "id" in values else []
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if not self.stack or self.stack[-1] != tag:
            self.errors.append(f"</{tag}> closes {self.stack[-3:]} at {self.getpos()}")
        else:
            self.stack.pop()

    def handle_data(self, data):
        if self.stack:
            self.texts[self.stack[-1]] = self.texts.get(self.stack[-1], "") + data


def parse(text):
    page = Page()
    page.feed(text)
    page.close()
    if page.stack:
        page.errors.append(f"left open: {page.stack}")
    return page

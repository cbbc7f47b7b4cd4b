"""The documentation as a site: what Sphinx is told.

    sphinx-build --fail-on-warning -c docs/site . build/site

Rule 1: The pages are the Markdown files of the repository, where they are and as they are. So what
        a code host shows and what the site shows is the same, and a link is written once for both.
        A link to a file that is no page leads to a copy of it.

Rule 2: The site asks nobody for anything: no fonts, no scripts from elsewhere. It is read, and
        searched, from a disk as well as from a server; what cannot be done there (a script may read
        no file) is done when it is built.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.util.typing import stringify_annotation

import tcpchat_core
import tcpchat_net

project = "tcpchat"
version = release = tcpchat_core.VERSION
author = "the authors of tcpchat"
html_title = f"tcpchat {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/site/*.rst"]
exclude_patterns = [".*", "build", "dist"]

# Anchors as a code host gives them: `protocol.md#the-wire`.
myst_heading_anchors = 6

# ── What is where ────────────────────────────────────────────────────────────────────────────

# For each kind of reader, in the order in which they read.
CHAPTERS = {
    "Chat in one minute": ("tutorial", "client", "web", "irc"),
    "Run it for a year": ("operating", "moderation", "cluster"),
    "Embed the core": ("embedding", "bots", "protocol", "site/core", "site/events", "site/net"),
    "Read the code": ("design", "guarantees", "performance", "../CONTRIBUTING", "../CHANGELOG"),
}


def _add_chapters(_app: Sphinx, page: str, source: list[str]) -> None:
    """The README is the first page: the menu hangs on it, and does not stand in its file."""
    if page == root_doc:
        for caption, pages in CHAPTERS.items():
            listed = "\n".join(f"/docs/{each}".replace("/docs/..", "") for each in pages)
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n{listed}\n```\n"


# ── The reference ────────────────────────────────────────────────────────────────────────────

# In a docstring, `ChatState` is a link where there is something of that name, and code elsewhere.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autoclass_content = "class"
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"


def _read_comments(package: object) -> dict[str, list[str]]:
    """What stands before the constants and aliases of a package, by their names."""
    found: dict[str, list[str]] = {}
    folder = Path(str(vars(package)["__file__"])).parent
    for path in sorted(folder.rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if name := re.match(r"([A-Z]\w*)(?:: \w+)? = ", line):
                first = number
                while first and lines[first - 1].startswith("# "):
                    first -= 1
                if first < number:
                    comment = [each.removeprefix("# ") for each in lines[first:number]]
                    found.setdefault(name[1], comment)
    return found


COMMENTS = {each.__name__: _read_comments(each) for each in (tcpchat_core, tcpchat_net)}


def _write_as_rst(
    _app: Sphinx, what: str, name: str, _value: object, _options: object, lines: list[str]
) -> None:
    """Docstrings are written for who reads the code; three habits of theirs are no RST.

    A constant has a comment before it; an example is indented, without a sign before; and a letter
    may follow a backtick.
    """
    module, _, own_name = name.rpartition(".")
    if what == "data":
        lines[:] = COMMENTS.get(module.partition(".")[0], {}).get(own_name, lines)
    text = re.sub(r"(?<=[^\n])\n\n(?=    \S)", "\n\n.. code-block:: python\n\n", "\n".join(lines))
    text = re.sub(r"(?<=\w`)(?=[a-z])", r"\\ ", text)
    lines[:] = text.split("\n")


def _is_left_out(
    _app: Sphinx, _what: str, _name: str, value: object, _skip: bool, _options: object
) -> bool | None:
    """The fields of a named tuple are in its signature, and its docstring tells of them."""
    return True if type(value).__name__ == "_tuplegetter" else None


# What an alias stands for, as it stands in a signature; the longest first, for one is in another.
ALIASES = {
    stringify_annotation(getattr(tcpchat_core, name), "smart"): f"~tcpchat_core.{name}"
    for name in ("Effect", "Action", "Event", "Request", "Query", "Notice")
}


def _name_aliases(
    _app: Sphinx,
    _what: str,
    _name: str,
    _value: object,
    _options: object,
    given: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """An alias is called by its name, and not by all that it stands for."""
    signature = [given, returned]
    for meaning in sorted(ALIASES, key=len, reverse=True):
        signature = [each and each.replace(meaning, ALIASES[meaning]) for each in signature]
    return signature[0], signature[1]


# ── Search ───────────────────────────────────────────────────────────────────────────────────

# Sphinx finds pages, and one of ours has 2,800 lines; and it shows what it has found by reading
# that page, which no browser lets a script do from a disk. So search.js looks in a list of all
# sections.


def _choose_search(app: Sphinx) -> None:
    """No index of pages; search.html is the template of that name."""
    if isinstance(app.builder, StandaloneHTMLBuilder):
        app.builder.search = False


def _is_place(node: nodes.Node) -> bool:
    """Whether it can be led to: a section, or a name of the reference."""
    return isinstance(node, nodes.section | addnodes.desc)


def _text(node: nodes.Element) -> str:
    """What stands in a place, without the places in it."""
    said: list[str] = []
    for child in node.children:
        if isinstance(child, nodes.Element) and child.children and not _is_place(child):
            is_inline = isinstance(child, nodes.TextElement)
            said.append(child.astext() if is_inline else _text(child))
        elif isinstance(child, nodes.Text):
            said.append(child.astext())
    return " ".join(" ".join(said).split())


def _places(doctree: nodes.document) -> list[tuple[str, str, str]]:
    """The places of a page: the anchor, the heading, what stands there."""
    found: list[tuple[str, str, str]] = []
    for node in doctree.findall(_is_place):
        head = node.children[0]
        if isinstance(node, nodes.section):
            anchor, heading = node["ids"][0], head.astext()
        elif head["ids"]:
            anchor, heading = head["ids"][0], head["fullname"]
        else:  # a module has its page
            continue
        rest = nodes.container("", *(child.deepcopy() for child in node.children[1:]))
        found.append((f"#{anchor}" if found else "", heading, _text(rest)))
    return found


def _write_places(app: Sphinx, failure: Exception | None) -> None:
    if failure or not isinstance(app.builder, StandaloneHTMLBuilder):
        return
    listed = []
    for page in sorted(app.env.found_docs):
        address = app.builder.get_target_uri(page)
        places = _places(app.env.get_doctree(page))
        listed.append([address, places[0][1], places])
    script = f"const PAGES = {json.dumps(listed, ensure_ascii=False)};\n"
    Path(app.outdir, "_static", "pages.js").write_text(script, encoding="utf-8")


# ── How it looks ─────────────────────────────────────────────────────────────────────────────

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = ["templates"]
html_additional_pages = {"index": "index.html", "search": "search.html"}
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False


# What the theme leaves out for who has no mouse: what is wider than its place can be moved by keys.
FOCUSABLE = ("<pre", '<div class="table-wrapper')


def _let_all_in(
    _app: Sphinx, _page: str, _template: str, context: dict[str, str], _doctree: object
) -> None:
    """Complete the page for who hears it, or has no mouse."""
    for start in FOCUSABLE:
        tag = start.partition(" ")[0]
        reached = start.replace(tag, f'{tag} tabindex="0"', 1)
        context["body"] = context.get("body", "").replace(start, reached)
    menu = context["furo_navigation_tree"]
    context["furo_navigation_tree"] = menu.replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )


def setup(app: Sphinx) -> None:
    """What Sphinx calls first."""
    app.add_lexer("haproxy", TextLexer)  # Pygments does not know it
    app.connect("source-read", _add_chapters)
    app.connect("autodoc-process-docstring", _write_as_rst)
    app.connect("autodoc-skip-member", _is_left_out)
    app.connect("autodoc-process-signature", _name_aliases)
    app.connect("builder-inited", _choose_search)
    app.connect("html-page-context", _let_all_in, priority=900)  # the theme's own comes first
    app.connect("build-finished", _write_places)

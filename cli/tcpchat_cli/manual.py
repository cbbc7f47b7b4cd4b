"""Pages of the manual, made from what the programs are made of: parsers and tables.

They are in the macros of man(7), for man and for mandoc.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from tcpchat_core.version import RELEASED, VERSION

# What roff would read as something else.
_ESCAPES: Final = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}

# What an exit status of both programs means, but for 1.
_WRONG: Final = ("2", "The command line was wrong.")

_PARAGRAPH: Final = ".PP\n"

# Lines may have 80, and what is escaped takes more than it shows.
_COLUMNS: Final = 66

# A term of a list, and what there is to say of it.
Item = tuple[str, str]


def page(name: str, section: int, summary: str, *parts: str) -> str:
    """A page: its head, and its sections."""
    head = f'.TH {_text(name.upper())} {section} {RELEASED} "tcpchat {VERSION}"'
    return "\n".join([head, ".SH NAME", rf"{_text(name)} \- {_text(summary)}", *parts])


def section(title: str, *parts: str) -> str:
    """A section of a page."""
    return _titled(".SH", title, parts)


def subsection(title: str, *parts: str) -> str:
    """A section of a section."""
    return _titled(".SS", title, parts)


def _titled(macro: str, title: str, parts: Sequence[str]) -> str:
    text = "\n".join(parts)
    return f"{macro} {_text(title)}\n{text.removeprefix(_PARAGRAPH)}"  # a title begins one


def paragraph(text: str) -> str:
    """Some sentences."""
    return f"{_PARAGRAPH}{_lines(text)}"


def synopsis(*lines: str) -> str:
    """How a program is called: each a line of its own."""
    return section("SYNOPSIS", ".nf", *(_lines(each) for each in lines), ".fi")


def items(listed: Iterable[Item]) -> str:
    """A list of terms, each with what there is to say of it."""
    return "\n".join(f".TP\n\\fB{_text(term)}\\fR\n{_lines(text)}" for term, text in listed)


def exit_status(one: str) -> str:
    """The section of that name; `one` says what 1 means."""
    return section("EXIT STATUS", items([("0", "All went well."), ("1", one), _WRONG]))


def options(parser: argparse.ArgumentParser) -> str:
    """What can be given to a parser, each with its help; not what has a parser of its own."""
    formatter = parser._get_formatter()  # noqa: SLF001 # nobody else tells what a help comes to
    listed = []
    for action in parser._actions:  # noqa: SLF001 # argparse tells them to nobody otherwise
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 # as above
            continue
        text = sentence(formatter._expand_help(action))  # noqa: SLF001 # as above
        choices = [str(each) for each in action.choices or ()]
        if action.metavar and not all(each in text for each in choices):
            text += f" One of {', '.join(choices)}."
        listed.append((_shown(action), text))
    return items(listed)


def tool(parser: argparse.ArgumentParser) -> str:
    """A subsection for what has a command line of its own, and one for each of its parts."""
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    parts = [paragraph(usage), paragraph(parser.description or ""), options(parser)]
    if parser.epilog:
        parts.append(paragraph(parser.epilog))
    below = []
    for action in parser._actions:  # noqa: SLF001 # as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 # as above
            helps = {each.dest: each.help or "" for each in action._choices_actions}  # noqa: SLF001
            for name, each in action.choices.items():
                each.description = each.description or sentence(helps[name])
                below.append(tool(each))
    return "\n".join([subsection(parser.prog, *parts), *below])


def _shown(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else None
    if not metavar and action.choices:
        metavar = "|".join(map(str, action.choices))
    metavar = metavar or action.dest.upper()
    if not action.option_strings:
        return metavar
    flags = ", ".join(action.option_strings)
    return flags if action.nargs == 0 else f"{flags} {metavar}"


def sentence(text: str) -> str:
    """A help as a sentence. One that begins with what is to be typed is left as it is."""
    is_value = text.partition(" ")[0].endswith(":")
    return f"{text[:1] if is_value else text[:1].upper()}{text[1:].rstrip('.')}."


def _lines(text: str) -> str:
    """Text in lines that are not too long: where they end means nothing."""
    wrapped = textwrap.wrap(text, _COLUMNS, break_long_words=False, break_on_hyphens=False)
    return "\n".join(_line(each) for each in wrapped)


def _line(text: str) -> str:
    """One line: a point at its beginning would be a request."""
    return rf"\&{_text(text)}" if text[:1] == "." else _text(text)


def _text(text: str) -> str:
    return "".join(
        _ESCAPES.get(char, char if char.isascii() else f"\\[u{ord(char):04X}]") for char in text
    )

"""What prompt_toolkit draws, cell by cell: it has to count its columns as the terminal does.

So it counts by our table, and among the keys come the terminal's answers to what it was asked; what
is being typed is shown with the parts of its sequences apart.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import prompt_toolkit.layout.screen
import prompt_toolkit.utils
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.formatted_text.utils import fragment_list_to_text
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments

from tcpchat_cli.terminal.widths import char_width, parts_of


def answers(known_anew: Callable[[], None]) -> KeyBindings:
    """What takes the terminal's answers, as prompt_toolkit reads them among the keys."""
    bindings = KeyBindings()

    def answered(event: KeyPressEvent) -> None:
        if char_width.answered(event.data):
            _forget_widths()
            known_anew()

    bindings.add(Keys.CPRResponse, save_before=lambda _: False)(answered)
    return bindings


def _forget_widths() -> None:
    """Have prompt_toolkit count anew: it has no other way to be told."""
    prompt_toolkit.utils._CHAR_SIZES_CACHE.clear()  # noqa: SLF001 # see above
    prompt_toolkit.layout.screen._CHAR_CACHE.clear()  # noqa: SLF001 # the same


# It is imported there, and has a cache where ours has one.
prompt_toolkit.utils.wcwidth = char_width  # type: ignore[attr-defined,assignment] # see above
_forget_widths()


class ShownApart(Processor):
    """Shows what is being typed with the parts of its sequences apart."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """The line as it is shown, and where its characters are."""
        fragments = transformation_input.fragments
        text = fragment_list_to_text(fragments)
        parts = [] if text.isascii() else parts_of(text)
        if parts == [*text] or not parts:
            return Transformation(fragments)
        starts = [*accumulate(map(len, parts), initial=0)]
        exploded = explode_text_fragments(fragments)
        shown: StyleAndTextTuples = [
            (style[0], part) for style, part in zip(exploded, parts, strict=True)
        ]

        def display(at: int) -> int:
            return starts[at] if at < len(starts) else starts[-1] + at - len(parts)

        def source(at: int) -> int:
            inside = [place for place, start in enumerate(starts) if start <= at]
            return inside[-1] if at <= starts[-1] else len(parts) + at - starts[-1]

        return Transformation(shown, display, source)

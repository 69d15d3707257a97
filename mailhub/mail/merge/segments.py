"""The fast path: a template of plain placeholders compiled to string segments.

Only what is certain to mean the same in Liquid is taken; anything else is left to it.
Values are turned into text by Liquid's own functions, so that both paths agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from liquid.builtin.filters.misc import default as liquid_default
from liquid.stringify import to_liquid_string
from liquid.token import TOKEN_CONTENT, TOKEN_EXPRESSION, TOKEN_OUTPUT, Token
from markupsafe import Markup, escape

_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_PLAIN = re.compile(
    rf"(?P<path>{_WORD}(?:\.{_WORD})*)"
    r"(?:\s*\|\s*default\s*:\s*(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'))?"
)
# Liquid gives these a meaning of their own.
_SPECIAL = frozenset(
    {"and", "as", "blank", "by", "cols", "contains", "continue", "else", "empty", "false"}
    | {"first", "for", "forloop", "if", "in", "last", "limit", "nil", "not", "now", "null"}
    | {"offset", "or", "required", "reversed", "size", "tablerowloop", "today", "true", "with"}
)

_MARKUP = re.compile("[&<>'\"]")


class Slot:
    """One `{{ path | default: "x" }}`; equal to another that gives the same."""

    __slots__ = ("_key", "default", "html", "rest", "root")

    def __init__(self, path: str, default: str | None, *, html: bool) -> None:
        self.root, *self.rest = path.split(".")
        self.default = default
        self.html = html
        self._key = (path, default, html)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slot) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def render(self, variables: Mapping[str, object]) -> str:
        try:
            value: object = variables[self.root]
            for name in self.rest:
                value = value[name]  # type: ignore[index]  # a TypeError is an unknown variable
        except (KeyError, TypeError, IndexError):
            value = None
        if type(value) is str:
            if not value:
                return self.default or ""
            return str(escape(value)) if self.html and _MARKUP.search(value) else value
        if self.default is not None:
            # Liquid, too, takes what the template's author wrote as finished HTML.
            literal = Markup(self.default) if self.html else self.default  # noqa: S704 - as above
            value = liquid_default(value, literal)
        return to_liquid_string(value, self.html)


class Segments:
    """Fixed strings with slots between them."""

    __slots__ = ("_parts", "_slots", "slots")

    def __init__(self, parts: list[str | Slot]) -> None:
        self.slots = [part for part in parts if isinstance(part, Slot)]
        self._parts = ["" if isinstance(part, Slot) else part for part in parts]
        self._slots = [
            (index, part.render) for index, part in enumerate(parts) if isinstance(part, Slot)
        ]

    @property
    def fixed(self) -> list[str]:
        """What stands before, between and behind the slots: one more than there are slots."""
        fixed = [""]
        numbers = {index for index, _ in self._slots}
        for index, part in enumerate(self._parts):
            if index in numbers:
                fixed.append("")
            else:
                fixed[-1] += part
        return fixed

    @property
    def is_static(self) -> bool:
        """Whether every recipient gets the same."""
        return not self._slots

    def render(self, variables: Mapping[str, object]) -> str:
        """The text for one recipient; unknown variables are empty."""
        parts = self._parts.copy()
        for index, render in self._slots:
            parts[index] = render(variables)
        return "".join(parts)


def compile_segments(tokens: Iterable[Token], *, html: bool) -> Segments | None:
    """Segments for these tokens of Liquid's lexer; None where they are not all plain."""
    parts: list[str | Slot] = []
    for token in tokens:
        if token.kind == TOKEN_CONTENT:
            parts.append(token.value)
        elif token.kind == TOKEN_EXPRESSION:
            found = _PLAIN.fullmatch(token.value)
            if found is None or not _SPECIAL.isdisjoint(found["path"].split(".")):
                return None
            default = found["double"] if found["double"] is not None else found["single"]
            parts.append(Slot(found["path"], default, html=html))
        elif token.kind != TOKEN_OUTPUT:
            return None
    return Segments(parts)

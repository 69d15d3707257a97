"""What a server's reply means."""

from __future__ import annotations

import pytest

from mailhub.mail.errors import CommandRefused, Reply


@pytest.mark.parametrize(
    ("code", "enhanced", "permanent"),
    [
        (250, "", False),
        (421, "4.7.0", False),
        (450, "5.1.1", False),
        (499, "", False),
        (500, "", True),
        (503, "5.5.1", False),
        (535, "", True),
        (550, "", True),
        (550, "4.2.2", True),
        (552, "", False),
        (552, "5.2.2", False),
        (552, "5.3.4", True),
        (554, "5.7.1", True),
    ],
)
def test_only_some_refusals_are_for_good(code: int, enhanced: str, permanent: bool) -> None:
    reply = Reply(code, "words", enhanced)
    assert reply.permanent is permanent
    assert CommandRefused("No.", reply).permanent is permanent


@pytest.mark.parametrize(
    ("lines", "text", "enhanced"),
    [
        (["5.1.1 No such user"], "No such user", "5.1.1"),
        (["5.1.1 No such", "5.1.1 user"], "No such user", "5.1.1"),
        (["4.2.2"], "", "4.2.2"),
        (["1.2.3 is no enhanced code"], "1.2.3 is no enhanced code", ""),
        (["5.1.1234 neither"], "5.1.1234 neither", ""),
        (["No code"], "No code", ""),
        (["", "\x00a\x1bb\t"], "a b", ""),
        ([], "", ""),
        (["x" * 5000], "x" * 1000, ""),
    ],
)
def test_the_enhanced_code_is_told_from_the_words(
    lines: list[str], text: str, enhanced: str
) -> None:
    assert Reply.read(550, lines) == Reply(550, text, enhanced)

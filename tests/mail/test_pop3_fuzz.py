"""Whatever octets a POP3 server says, they end in values or in a MailError."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailhub.mail.errors import MailError
from mailhub.mail.stores.pop3 import Pop3Maildrop
from tests.mail.scripted_pop3 import CLOSE, ScriptedPop3Server

_PIECES = [
    *(b"+OK", b"-ERR", b" ", b"\r\n", b"\n", b".", b"..", b".\r\n", b"+ ", b"[SYS/TEMP]", b"\0"),
    *(b"1", b"2 two", b"3 \xff", b"99999999999999999999", b"-1", b"UIDL", b"PIPELINING", b"STLS"),
    b"+OK\r\n",
    b"SASL PLAIN XOAUTH2\r\n",
]
_answers = st.lists(st.sampled_from(_PIECES) | st.binary(max_size=8), max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedPop3Server]:
    with ScriptedPop3Server() as running:
        yield running


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(verb=st.sampled_from(["CAPA", "PASS", "UIDL", "LIST", "RETR", "TOP", "DELE"]), said=_answers)
def test_any_answer(server: ScriptedPop3Server, verb: str, said: bytes) -> None:
    usual = dict(server.answers)
    server.answers[verb] = said.replace(CLOSE, b"") + CLOSE
    try:
        with Pop3Maildrop(server.settings(timeout=2)) as maildrop:
            for row in maildrop.listing():
                assert row.number > 0
                assert row.unique_id.isprintable()
            assert all(size >= 0 for size in maildrop.sizes().values())
            for got in maildrop.retrieve([1, 2], largest=1000):
                assert got.content is not None or got.refusal is not None
            maildrop.header(1)
            maildrop.delete([1])
            maildrop.finish()
    except MailError as error:
        assert error.message.isprintable()
        assert "top-secret" not in error.message
    finally:
        server.answers = usual

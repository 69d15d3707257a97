"""Messages as they leave: addresses, headers, MIME shapes, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.errors import InvalidMessage
from mailhub.mail.message import Address, Attachment, OutgoingMessage, parse_address
from mailhub.mail.transports.base import Envelope

ANN = Address("Ann", "ann@example.org")
BOB = Address("Bob", "bob@example.com")
BREAKS = ["\r", "\n", "\r\n", "\0"]

# What a person can type; line breaks, NUL and surrogates are refused and tested apart.
LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=200)
BODY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=500)


def read(octets: bytes) -> EmailMessage:
    message = message_from_bytes(octets, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def shape(part: MIMEPart) -> object:
    """The tree of content types."""
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        return [part.get_content_type(), *(shape(each) for each in part.iter_parts())]
    return part.get_content_type()


def lines_are_sound(octets: bytes) -> bool:
    """CRLF alone, at most 998 octets a line, no NUL, seven bits."""
    lines = octets.split(b"\r\n")
    return (
        lines[-1] == b""
        and not any(b"\r" in line or b"\n" in line or len(line) > 998 for line in lines)
        and b"\0" not in octets
        and octets.isascii()
    )


def unspaced(text: str) -> str:
    return "".join(text.split())


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "name", "address"),
        [
            ("ann@example.org", "", "ann@example.org"),
            ("<ann@example.org>", "", "ann@example.org"),
            ("  Ann Lee  <ann@example.org> ", "Ann Lee", "ann@example.org"),
            ('"Lee, Ann" <ann@example.org>', "Lee, Ann", "ann@example.org"),
            (r'"A \"B\" \\ C" <a@b.c>', 'A "B" \\ C', "a@b.c"),
            ("Änne 😀 <a+b=c@exämple.org>", "Änne 😀", "a+b=c@xn--exmple-cua.org"),
            ("Ünïcode@例え.jp", "", "Ünïcode@xn--r8jz45g.jp"),
            ('"odd one"@example.org', "", '"odd one"@example.org'),
            ("root@localhost", "", "root@localhost"),
            ("a@[192.0.2.1]", "", "a@[192.0.2.1]"),
            ("a@[IPv6:2001:db8::1]", "", "a@[IPv6:2001:db8::1]"),
        ],
    )
    def test_reads_one_address(self, text: str, name: str, address: str) -> None:
        assert parse_address(text) == Address(name, address)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "ann",
            "@example.org",
            "ann@",
            "ann@@example.org",
            "a b@example.org",
            "ann@exam ple.org",
            "ann@-example.org",
            "ann@example..org",
            "ann@example.org.",
            ".ann@example.org",
            "an..n@example.org",
            "ann@[not an address]",
            "ann@[127.0.0.1",
            "a@b.c, d@e.f",
            "a@b.c d@e.f",
            "Ann <a@b.c> more",
            "Ann <a@b.c",
            "Ann <<a@b.c>>",
            "Ann a@b.c>",
            "Lee, Ann <a@b.c>",
            "Friends: a@b.c;",
            "a@b.c (comment)",
            "a@b.c>\r\nRCPT TO:<x@y.z",
            "a\u2028b@example.org",
            "a\u202eb@example.org",
            "\ud800@example.org",
            "Ann \ud800 <a@b.c>",
            "a" * 65 + "@example.org",
            "a@" + "b." * 130 + "org",
            "a@" + "b" * 64 + ".org",
            "a@\u2488com.example",
            "x" * 2000 + " <a@b.c>",
        ],
    )
    def test_refuses_anything_else(self, text: str) -> None:
        with pytest.raises(InvalidMessage):
            parse_address(text)

    @pytest.mark.parametrize("evil", BREAKS)
    def test_refuses_line_breaks(self, evil: str) -> None:
        for name, address in ((f"Ann{evil}X: y", "a@b.c"), ("Ann", f"a{evil}@b.c")):
            with pytest.raises(InvalidMessage):
                Address(name, address)

    def test_knows_when_smtputf8_is_needed(self) -> None:
        assert Address("Ü", "ü@example.org").needs_smtputf8
        assert not Address("Ü", "u@exämple.org").needs_smtputf8


class TestHeaders:
    def test_has_one_date_and_one_unique_message_id_of_the_sender(self) -> None:
        octets = {OutgoingMessage(ANN, [BOB]).as_bytes() for _ in range(20)}
        ids = set()
        for each in octets:
            message = read(each)
            assert len(message.get_all("Date", [])) == 1
            (message_id,) = message.get_all("Message-ID", [])
            assert message_id.endswith("@example.org>")
            ids.add(str(message_id))
        assert len(ids) == 20

    def test_says_the_same_each_time(self) -> None:
        message = OutgoingMessage(ANN, [BOB], subject="x", text="y")
        assert message.as_bytes() == message.as_bytes()

    def test_bcc_is_in_the_envelope_and_never_on_the_wire(self) -> None:
        hidden = Address("Secret", "hidden@example.net")
        message = OutgoingMessage(ANN, [BOB], cc=[ANN], bcc=[hidden, BOB])
        assert message.envelope() == Envelope(
            "ann@example.org", ("bob@example.com", "ann@example.org", "hidden@example.net")
        )
        assert b"hidden" not in message.as_bytes()
        assert b"bcc" not in message.as_bytes().lower()
        assert b"\r\nBcc: Secret <hidden@example.net>" in message.as_stored_bytes()

    def test_the_return_path_is_the_envelopes_sender(self) -> None:
        assert OutgoingMessage(ANN, [BOB], return_path="b+1@ü.org").envelope().sender == (
            "b+1@xn--tda.org"
        )
        assert OutgoingMessage(ANN, [BOB], return_path="<>").envelope().sender == ""

    def test_needs_a_recipient_to_be_sent(self) -> None:
        with pytest.raises(InvalidMessage):
            OutgoingMessage(ANN).envelope()

    def test_keeps_a_long_uri_in_one_piece(self) -> None:
        uri = "<https://example.org/" + "u" * 600 + ">"
        message = OutgoingMessage(
            ANN, [BOB], headers={"List-Unsubscribe": f"{uri}, <mailto:u@example.org>"}
        )
        assert uri.encode() in message.as_bytes()
        assert read(message.as_bytes())["List-Unsubscribe"] == f"{uri}, <mailto:u@example.org>"

    def test_keeps_long_references_in_one_piece(self) -> None:
        ids = [f"<{'r' * 90}{number}@example.org>" for number in range(30)]
        message = OutgoingMessage(ANN, [BOB], references=ids, in_reply_to=ids[-1])
        parsed = read(message.as_bytes())
        assert parsed["References"].split() == ids
        assert parsed["In-Reply-To"] == ids[-1]
        assert lines_are_sound(message.as_bytes())

    @pytest.mark.parametrize(
        "name",
        [
            "From", "sender", "Reply-To", "TO", "Cc", "Bcc", "Subject", "Date", "Message-ID",
            "In-Reply-To", "References", "MIME-Version", "Content-Type",
            "content-transfer-encoding", "Received", "Return-Path", "DKIM-Signature",
            "Resent-To", "ARC-Seal", "Authentication-Results", "", "X Y", "X:Y", "X\tY", "Ü",
            "X" * 100,
        ],
    )  # fmt: skip
    def test_refuses_to_let_a_user_set_what_is_ours(self, name: str) -> None:
        with pytest.raises(InvalidMessage):
            OutgoingMessage(ANN, [BOB], headers={name: "x"})

    @pytest.mark.parametrize("evil", BREAKS)
    def test_refuses_line_breaks_everywhere(self, evil: str) -> None:
        bad = f"a{evil}Bcc: x@y.z"
        with pytest.raises(InvalidMessage):
            OutgoingMessage(ANN, [BOB], subject=bad)
        with pytest.raises(InvalidMessage):
            OutgoingMessage(ANN, [BOB], headers={"X-A": bad})
        with pytest.raises(InvalidMessage):
            OutgoingMessage(ANN, [BOB], headers={f"X-A{evil}B": "x"})
        with pytest.raises(InvalidMessage):
            OutgoingMessage(ANN, [BOB], message_id=f"<a{evil}@b.c>")
        with pytest.raises(InvalidMessage):
            OutgoingMessage(ANN, [BOB], references=[f"<a{evil}@b.c>"])
        with pytest.raises(InvalidMessage):
            OutgoingMessage(ANN, [BOB], return_path=f"a{evil}@b.c")
        with pytest.raises(InvalidMessage):
            Attachment(bad, b"")
        with pytest.raises(InvalidMessage):
            Attachment("a", b"", f"text/plain;{evil} x=y")
        with pytest.raises(InvalidMessage):
            Attachment("a", b"", "text/plain", content_id=bad)

    @pytest.mark.parametrize(
        "values",
        [
            {"message_id": "no brackets"},
            {"message_id": "<a@b> <c@d>"},
            {"message_id": "<ü@b>"},
            {"in_reply_to": "x"},
            {"date": datetime(2026, 1, 1)},
            {"subject": "\ud800"},
            {"text": "\ud800"},
            {"html": "\udfff"},
            {"headers": {"X-A": "x" * 1200}},
        ],
    )
    def test_refuses_what_cannot_be_written(self, values: dict[str, Any]) -> None:
        with pytest.raises(InvalidMessage):
            OutgoingMessage(ANN, [BOB], **values)

    def test_writes_utf8_in_addresses_alone_where_smtputf8_is_needed(self) -> None:
        message = OutgoingMessage(ANN, [Address("Ü", "ü@example.org")], subject="Ü", text="Ü")
        assert message.needs_smtputf8
        head, _, body = message.as_bytes().partition(b"\r\n\r\n")
        assert "<ü@example.org>".encode() in head
        assert body.isascii()
        assert [line for line in head.split(b"\r\n") if not line.isascii()] == [
            "To: =?utf-8?b?w5w=?= <ü@example.org>".encode()
        ]

    @settings(max_examples=150, deadline=None)
    @given(subject=LINE, names=st.lists(LINE, min_size=1, max_size=12), extra=LINE)
    def test_any_words_survive_the_standard_parser(
        self, subject: str, names: list[str], extra: str
    ) -> None:
        people = [Address(name, f"p{at}@example.org") for at, name in enumerate(names)]
        message = OutgoingMessage(ANN, people, subject=subject, headers={"X-Note": extra})
        octets = message.as_bytes()
        assert lines_are_sound(octets)
        parsed = read(octets)
        assert str(parsed["Subject"]) == subject
        assert str(parsed["X-Note"]) == extra.strip()
        # The standard parser makes one space of many inside a name, and adds one between
        # encoded words, against RFC 2047 section 6.2.
        assert [
            (unspaced(each.display_name), each.addr_spec) for each in parsed["To"].addresses
        ] == [(unspaced(person.name), person.address) for person in people]
        assert not parsed.defects
        assert max(map(len, octets.split(b"\r\n\r\n")[0].split(b"\r\n"))) <= 998


class TestBody:
    PNG = Attachment("p.png", b"\x89PNG", "image/png", content_id="pic", inline=True)
    PDF = Attachment("Müller.pdf", bytes(range(256)), "application/pdf")

    @pytest.mark.parametrize(
        ("text", "html", "attachments", "expected"),
        [
            ("t", "", [], "text/plain"),
            ("", "", [], "text/plain"),
            ("", "<p>h", [], "text/html"),
            ("t", "<p>h", [], ["multipart/alternative", "text/plain", "text/html"]),
            ("t", "", [PDF], ["multipart/mixed", "text/plain", "application/pdf"]),
            ("t", "", [PNG], ["multipart/mixed", "text/plain", "image/png"]),
            ("", "<p>h", [PNG], ["multipart/related", "text/html", "image/png"]),
            (
                "t",
                "<p>h",
                [PDF, PNG],
                [
                    "multipart/mixed",
                    [
                        "multipart/alternative",
                        "text/plain",
                        ["multipart/related", "text/html", "image/png"],
                    ],
                    "application/pdf",
                ],
            ),
        ],
    )
    def test_uses_the_levels_that_are_needed(
        self, text: str, html: str, attachments: list[Attachment], expected: object
    ) -> None:
        octets = OutgoingMessage(
            ANN, [BOB], text=text, html=html, attachments=attachments
        ).as_bytes()
        assert shape(read(octets)) == expected
        assert octets.count(b"MIME-Version:") == 1
        assert lines_are_sound(octets)

    def test_an_attachment_comes_back_whole(self) -> None:
        message = OutgoingMessage(ANN, [BOB], html="<p>", attachments=[self.PDF, self.PNG])
        parsed = read(message.as_bytes())
        (pdf,) = [part for part in parsed.walk() if part.get_content_subtype() == "pdf"]
        assert pdf.get_content() == bytes(range(256))
        assert pdf.get_filename() == "Müller.pdf"
        assert pdf.get_content_disposition() == "attachment"
        (png,) = [part for part in parsed.walk() if part.get_content_subtype() == "png"]
        assert (png["Content-ID"], png.get_content_disposition()) == ("<pic>", "inline")

    @pytest.mark.parametrize(
        "content", [b"Subject: in\r\n\r\nhello\r\n", b"Subject: \xc3\r\n\r\nx"]
    )
    def test_an_attached_message_is_never_base64_under_its_own_type(self, content: bytes) -> None:
        attachment = Attachment("m.eml", content, "message/rfc822")
        octets = OutgoingMessage(ANN, [BOB], text="t", attachments=[attachment]).as_bytes()
        assert lines_are_sound(octets)
        part = list(read(octets).iter_parts())[1]
        assert part.get_filename() == "m.eml"
        if content.isascii():
            assert part.get_content_type() == "message/rfc822"
            assert part["Content-Transfer-Encoding"] == "7bit"
            assert part.get_content()["Subject"] == "in"
        else:
            assert part.get_content_type() == "application/octet-stream"
            assert part.get_content() == content

    @pytest.mark.parametrize(
        "content_type", ["text", "text/", "/plain", "a b/c", "text/plain; x", "text/plain\r\nX: y"]
    )
    def test_refuses_a_content_type_that_is_none(self, content_type: str) -> None:
        with pytest.raises(InvalidMessage):
            Attachment("a", b"", content_type)

    def test_keeps_the_parameters_of_a_content_type(self) -> None:
        attachment = Attachment(
            "invite.ics", b"BEGIN:VCALENDAR", 'text/calendar; method=REQUEST; charset="utf-8"'
        )
        parsed = read(OutgoingMessage(ANN, [BOB], attachments=[attachment]).as_bytes())
        part = next(iter(parsed.iter_attachments()))
        assert part["Content-Type"].params["method"] == "REQUEST"

    @settings(max_examples=150, deadline=None)
    @given(
        text=BODY,
        html=BODY,
        filename=LINE.filter(lambda name: name.strip() == name and name),
        content=st.binary(max_size=300),
    )
    def test_any_body_survives_the_standard_parser(
        self, text: str, html: str, filename: str, content: bytes
    ) -> None:
        message = OutgoingMessage(
            ANN,
            [BOB],
            text=text + "x",
            html=html + "x",
            attachments=[Attachment(filename, content)],
            date=datetime(2026, 11, 21, tzinfo=UTC),
        )
        octets = message.as_bytes()
        assert lines_are_sound(octets)
        parsed = read(octets)
        alternative, attachment = parsed.iter_parts()
        plain, rich = alternative.iter_parts()
        assert plain.get_content().replace("\r\n", "\n") == text + "x\n"
        assert rich.get_content().replace("\r\n", "\n") == html + "x\n"
        assert attachment.get_content() == content
        assert attachment.get_filename() == filename

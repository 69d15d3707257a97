"""From a template to the recipient's server: many threads, personal mail, a server with moods."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes, policy

from mailhub.mail.merge import MergeTemplate
from mailhub.mail.message import Address, Attachment
from mailhub.mail.transports.base import Envelope, Job, Outcome, Result
from mailhub.mail.transports.in_memory import Disturbance, Step
from mailhub.mail.transports.smtp import SmtpTransport
from tests.servers.smtp import SmtpReceiver


def test_everybody_gets_their_own_mail_once_whatever_the_server_does(
    smtp_receiver: SmtpReceiver,
) -> None:
    template = MergeTemplate.compile(
        subject="{{ name }}, your news",
        html="<p>Dear {{ name }}</p>\n<p>{{ city | default: 'your city' }}</p>",
        sender=Address("Zoë", "news@example.org"),
        attachments=[Attachment("terms.pdf", b"%PDF" * 20_000, "application/pdf")],
    )
    script = smtp_receiver.script
    enough = "421 4.7.0 Enough for now"
    script.answer(Step.MAIL, enough, address="bounce+30@example.org", times=1)
    script.answer(Step.RCPT, "450 4.2.0 Greylisted", address="r7@example.com")
    script.answer(Step.RCPT, "550 5.1.1 No such user", address="r8@example.com")
    script.answer(Step.CONTENT, Disturbance.ACCEPT_AND_DROP, address="r9@example.com")
    script.answer(Step.CONTENT, Disturbance.DROP, address="r10@example.com")

    def job(number: int) -> Job[int]:
        recipient = Address(f"Näme {number}", f"r{number}@example.com")
        content = template.make(recipient, {"name": f"Näme <{number}>"})
        return Job(number, Envelope(f"bounce+{number}@example.org", (recipient.address,)), content)

    def send(batch: range) -> dict[int, Outcome]:
        with SmtpTransport(smtp_receiver.settings()) as transport:
            return dict(transport.send_many(map(job, batch)))

    outcomes: dict[int, Outcome] = {}
    with ThreadPoolExecutor(4) as threads:
        for part in threads.map(send, [range(start, start + 20) for start in range(0, 120, 20)]):
            outcomes |= part

    special = {7: Result.DEFERRED, 8: Result.FAILED, 9: Result.UNCERTAIN, 10: Result.UNCERTAIN}
    assert {number: outcome.result for number, outcome in outcomes.items()} == {
        number: special.get(number, Result.SENT) for number in range(120)
    }
    received = Counter(message.envelope for message in smtp_receiver.messages)
    assert received == Counter(
        Envelope(f"bounce+{number}@example.org", (f"r{number}@example.com",))
        for number in range(120)
        if number not in {7, 8, 10}
    )
    for message in smtp_receiver.messages:
        number = message.envelope.recipients[0].removeprefix("r").removesuffix("@example.com")
        parsed = message_from_bytes(message.content, policy=policy.default)
        assert parsed["Subject"] == f"Näme <{number}>, your news"
        assert parsed["To"] == f"Näme {number} <r{number}@example.com>"
        body = parsed.get_body(("html",))
        assert body is not None
        assert f"<p>Dear Näme &lt;{number}&gt;</p>" in body.get_content()
        [attached] = parsed.iter_attachments()
        assert attached.get_content() == b"%PDF" * 20_000

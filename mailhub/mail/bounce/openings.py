"""How servers begin what they write for people, and how they end it, in many languages.

Every phrase stands at the beginning of a line, where a person who quotes it puts a mark
before it.
"""

from __future__ import annotations

import re

from mailhub.mail.bounce.report import Action

_FAILED = (
    # qmail, Yahoo, James
    r"(?:i'm afraid i|sorry, we|we) (?:wasn't|were|was) (?:able|unable) to deliver your message",
    r"hi\. (?:this is the|the) .{0,80}",
    # exim and those that speak like it
    r"a message that you (?:have )?sent .{0,60}could not be delivered",
    r"this is a permanent error",
    r"(?:the )?following addresse?(?:\(es\)|es|s)? failed",
    # sendmail, Mail2000
    r"-{2,8} ?the following addresses had (?:permanent (?:fatal )?|delivery )?(?:errors|delivery "
    r"problems)",
    r"the following addresses had (?:permanent )?(?:fatal )?(?:delivery )?(?:errors|problems)",
    # Postfix and the like
    r"(?:i'm sorry to have to inform you that )?(?:your|the) (?:e-?mail |mail )?message"
    r"(?: returned below)? could not",
    # Exchange, Microsoft 365, Outlook
    r"did not reach the following recipient",
    r"delivery has failed to these recipients",
    r"your message did not reach (?:some or all of )?the intended recipients",
    r"the following recipient\(s\) (?:could not|cannot) be reached",
    r"(?:delivery to|this is an automatically generated delivery status notification)",
    r"your message (?:to .{1,300} )?(?:couldn't|could not|can't|cannot|wasn't|was not) be(?:en)? ?",
    r"your message to .{1,300} (?:couldn't|could not|wasn't|was not|has been) ",
    # Gmail
    r"(?:delivery to the following recipients?|.{0,80}delivery has) failed permanently",
    r"(?:\*\* )?(?:message not delivered|address not found|message blocked|recipient inbox full)",
    r"your message wasn't delivered to",
    # Domino, Notes
    r"(?:your message )?was not delivered to",
    r"-{2,8} failure reasons",
    # Others
    r"your message (?:to the following recipients )?(?:cannot|can not|could not) be delivered",
    r"your message cannot be delivered to the following recipients",
    r"an error (?:has )?occurred while (?:trying to deliver|attempting to deliver)",
    r"the (?:following|attached|original|enclosed) message .{0,120}"
    r"(?:undeliverable|(?:could|was) not (?:be )?delivered|not delivered|had permanent|failed)",
    r"there was an error delivering your mail to",
    r"(?:unable|failed|impossible) to deliver (?:your |the )?(?:message|mail|e-?mail)",
    r"(?:unknown user|undeliverable to|delivery failed|user mailbox exceeds allowed size|"
    r"failed address|unknown host|invalid final delivery userid)\b ?:?",
    r"(?:we|the (?:mail|postfix|mail system|server)).{0,60} (?:could not|was unable to|cannot) "
    r"deliver",
    r"(?:the )?(?:e-?mail|mail|message)(?: you sent)? .{0,80}"
    r"(?:could not|cannot|can't|couldn't) be delivered",
    r"message (?:from .{1,200} to .{1,200} )?(?:was )?(?:undeliverable|rejected|returned)",
    r"(?:your )?mail (?:to .{1,200}|sent on:?.{0,80}) (?:could not|was rejected|failed)",
    r"could not be delivered to",
    r"the users? .{0,60}(?:does not|doesn't) exist",
    r"(?:failed|undelivered|rejected|invalid) (?:recipients?|addresse?s?|address\(es\))",
    r"(?:delivery|mail|message) (?:failed|failure)|-{2,8} ?transcript of session follows",
    r"\|?-{2,40} ?failed addresses follow",
    # German, French, Spanish, Italian, Portuguese, Dutch, Polish, Russian, Japanese, Chinese
    r"(?:ihre|deine|die|ihre gesendete) (?:e-?mail|nachricht) .{0,80}"
    r"(?:nicht (?:zugestellt|erreicht|ausgeliefert|übermittelt)|unzustellbar)",
    r"fehler bei der nachrichtenzustellung|die (?:zustellung|übermittlung) .{0,60}"
    r"(?:fehlgeschlagen|gescheitert)|unzustellbar",
    r"(?:votre|le) (?:message|courriel|e-?mail) .{0,80}(?:n'a pas|n'a pu|ne peut|impossible)",
    r"échec de la remise|la remise .{0,40}a échoué",
    r"(?:su|el|tu) (?:mensaje|correo) .{0,80}(?:no (?:se )?(?:pudo|ha podido|fue|puede|se ha))",
    r"(?:error de entrega|no se pudo entregar|no se ha podido entregar)",
    r"(?:il|il tuo|il suo) (?:messaggio|e-?mail) .{0,80}non",
    r"(?:recapito non riuscito|impossibile recapitare|mancato recapito)",
    r"(?:sua|a sua|a|o|seu) (?:mensagem|e-?mail) .{0,80}não",
    r"(?:falha na entrega|não foi possível entregar)",
    r"(?:uw|het|je) (?:bericht|e-?mail) .{0,80}(?:niet|kon)|aflevering .{0,60}mislukt",
    r"(?:twoja |pańska )?wiadomość .{0,80}nie ",
    r"(?:к сожалению, )?(?:ваше|ваш) (?:письмо|сообщение) .{0,80}не ",
    r"(?:次|以下)の(?:受信者|宛先|あて先).{0,60}(?:失敗|できません)"
    r"|(?:メール|メッセージ|メッセ-ジ).{0,60}(?:できません|失敗)|送信先の.{0,60}できません",
    r".{0,40}(?:邮件|郵件).{0,40}(?:无法|未能|無法|退回|失败)",
)
_DELAYED = (
    r"a message that you sent has not yet been delivered",
    r"your message (?:has )?(?:not yet|still|hasn't been|has been delayed|is still|could not be "
    r"delivered for)",
    r"delivery to the following recipients? has been delayed",
    r"delivery (?:incomplete|is delayed to these recipients|to the following .{0,40}delayed)",
    r"this is a warning message only",
    r"\*\* ?this is a warning message only",
    r"-{2,8} ?the following addresses had transient non-fatal errors",
    r"(?:a|your|the) message (?:is|has been) delayed",
    r"there was a temporary problem delivering your message",
    r"message (?:delivery )?delayed",
    r"(?:ihre|die) nachricht .{0,60}(?:noch nicht|verzögert)",
)


_BETWEEN_WORDS = re.compile(r" (?!\?)")


def _over_lines(phrase: str) -> str:
    """The phrase, with a line break between any two of its words."""
    return f"(?:{_BETWEEN_WORDS.sub(chr(92) * 2 + 's{1,3}', phrase)})"


_EITHER = re.compile(
    "|".join(
        rf"(?P<{name}>^[ \t]{{0,12}}(?:{'|'.join(map(_over_lines, phrases))}))"
        for name, phrases in (("delayed", _DELAYED), ("failed", _FAILED))
    ),
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
ENDING = re.compile(
    r"^[ \t]{0,8}(?:-{2,}.{0,40}(?:copy of|original|returned|undelivered|below this line|message "
    r"(?:header|text|body|follows)|begin|ursprüngl|originale?|included|unsent|headers)"
    r"|original message (?:follows|headers)|message headers|the header of the original"
    r"|\|-{2,40} ?message text follows|reporting-mta: |final-recipient: "
    r"|(?:received|return-path|message-id|dkim-signature|mime-version|delivered-to|feedback-id"
    r"|content-type) ?: ?\S"
    r"|ursprüngliche nachricht|en-têtes|encabezados originales|intestazioni|"
    r"the following (?:is a copy|text was part)|your original message|"
    r"this is a copy of|={4,}.{0,30}original)",
    re.IGNORECASE | re.MULTILINE,
)


def find_opening(text: str) -> tuple[int, Action] | None:
    """Where a server begins to tell of a message, and whether it has given it up."""
    found = _EITHER.search(text)
    if found is None:
        return None
    return found.start(), Action.DELAYED if found["delayed"] else Action.FAILED

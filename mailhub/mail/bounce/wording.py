"""Words by which mail servers say why they refuse, in the languages that are met most.

Addresses and links are taken out first: `<spam@example.org>` says nothing about spam.
Each pattern looks at 2,000 characters at most and has no nested repetition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum, auto

_LONGEST_TEXT = 2_000
_ADDRESSES_AND_LINKS = re.compile(
    r"<[^<>]{0,320}>|https?://[^\s<>]{1,500}|[^\s@<>()]{1,64}@[^\s@<>(),;:]{1,255}", re.IGNORECASE
)
# They are named in links above all.
_BLOCK_LISTS = re.compile(
    r"spamhaus|spamcop|barracuda|uceprotect|sorbs\.net|cloudmark|mailspike|invaluement|dnsbl",
    re.IGNORECASE,
)
_SPACE = re.compile(r"\s+")
_REPLY_PREFIX = re.compile(r"(?<![\d.])[245]\d\d-(?=[245]\.|\s|[A-Za-z<])")


class Says(Enum):
    """What a text is about."""

    SENDER = auto()
    CONTENT = auto()
    FULL = auto()
    POLICY = auto()
    UNKNOWN = auto()
    LATER = auto()


_WHO = r"(?:user(?:name)?|recipient|mailbox|account|address(?:ee)?|alias|member|customer)"

_PATTERNS: dict[Says, Iterable[str]] = {
    # The address that we send from, or the domain of it.
    Says.SENDER: (
        r"\bsender(?:'s)? (?:address|domain|verif\w+|e-?mail|host|mailbox)\b",
        r"\b(?:unknown|invalid|bad|unverified) (?:envelope )?sender\b",
        r"\bsender (?:is )?(?:rejected|unknown|invalid|denied|not (?:found|verified|valid))",
        r"\bmy name was rejected|\bverification failed for|\bcallout verification"
        r"|\bcallback setup failed",
        r"\b(?:return[- ]path|envelope[- ]from|mail from) (?:address |domain )?(?:is |was )?"
        r"(?:invalid|rejected|not|does)",
        r"\b(?:absender\w*|expéditeur|remitente|mittente|remetente) \S{0,30} ?"
        r"(?:abgelehnt|ungültig|rejeté|rechazad|rifiutat|inválid)",
    ),
    Says.CONTENT: (
        r"\b(?:message|mail|e-?mail|body|header|attachment)s?\b.{0,20}"
        r"\btoo (?:large|big|long|many (?:header|line|part))",
        r"\b(?:message|mail|e-?mail|maximum|max|fixed|total)\b.{0,12}\bsize\b",
        r"\bsize (?:limit|exceed|of (?:the|your) message)",
        r"\b(?:exceed\w*|larger than|over|above)\b.{0,40}"
        r"\b(?:message|mail|e-?mail|attachment)\b.{0,10}\b(?:size|limit|length)",
        r"\bmessage (?:length|exceeds)|\blarger than the (?:current )?(?:system )?limit",
        r"\b(?:line|header)s? (?:is |are )?too long|\bbare (?:lf|cr)\b|\bbare (?:line|carriage)",
        r"\b(?:attachment|file)s? (?:type|name|extension)?s? ?.{0,30}"
        r"\b(?:not (?:allowed|accepted|permitted)|blocked|forbidden|prohibited|refused)",
        r"\b(?:rfc ?[25]?[38]22|malformed|not rfc|missing .{0,30}header|(?:invalid|illegal|"
        r"duplicate|multiple|bad) .{0,20}\bheader|8-?bit|conversion)\b",
        r"\b(?:nachricht|mail)\b.{0,30}\bzu groß|\bmessage trop (?:gros|volumineux)"
        r"|\b(?:mensaje|mensagem)\b.{0,30}\b(?:grande|tamaño|tamanho)"
        r"|\bmessaggio\b.{0,30}\b(?:grande|dimension)|слишком (?:большо|велик)",
    ),
    Says.FULL: (
        r"\b(?:over|exceed\w*|out of|above|beyond|reached|insufficient|exhausted|no|not enough)\b"
        r".{0,40}\b(?:quota|storage|(?:disk )?space|mailbox limit)",
        r"\bquota\b.{0,30}\b(?:exceed|full|reached|exhausted|violat|error|limit)",
        r"\bover ?-?quota\b|\bquota exceeded|\boverquota|\bexceed\w* quota",
        rf"\b(?:{_WHO}|inbox|mailfolder|maildir|mail ?drop|disk|storage)\b(?: \S+){{0,3}}? full\b"
        r"|\bfull (?:mail)?box|\bmailfull\b",
        r"\btoo many messages (?:in|on)|\bmailbox (?:size )?limit|\bmaildir delivery failed"
        r"|\bmailbox (?:has )?exceed",
        r"\b(?:postfach|mailbox|speicher\w*)\b.{0,30}\b(?:voll|überschritten|erschöpft)"
        r"|\b(?:boîte|espace|quota)\b.{0,30}\b(?:plein|satur|dépass)"
        r"|\b(?:buz[oó]n|cuota)\b.{0,30}\b(?:llen|exced|superad)"
        r"|\b(?:casella|quota)\b.{0,30}\b(?:pien|superat)"
        r"|\b(?:caixa|cota|quota)\b.{0,30}\b(?:chei|exced)"
        r"|переполнен|квот|(?:一杯|いっぱい|容量)|(?:已满|超出|空间不足)",
    ),
    Says.POLICY: (
        r"\b(?:spam\w*|unsolicited|junk|uce|phish\w*|virus\w*|malware|infected|trojan)\b",
        r"\b(?:black|block|deny|reject|ban)[- ]?list\w*|\bdnsbl|\brbls?\b|\bblocked\b|\bbanned\b"
        r"|\bblocking\b|\bblock(?:ed)? (?:by|using)",
        r"\b(?:policy|policies|reputation|prohibit\w*|forbidden|restricted|restriction|abus\w*)\b",
        r"\b(?:access|permission|relay\w*|delivery|connection|message|mail|transaction)"
        r"(?: is| was| has been)? (?:denied|refused)|\bdenied (?:by|due|access)|\baccess denied",
        r"\bnot (?:allowed|permitted|authori[sz]ed|accept(?:ed|ing)? (?:mail|messages?|from))"
        r"|\bunauthori[sz]ed|\bunauthenticated|\b(?:does not|doesn't|do not|don't) accept"
        r"|\bnot accept(?:ed)?\b.{0,30}\b(?:from|ip|network|dynamic)",
        r"\b(?:spf|dkim|dmarc|arc|fcrdns|rdns|ptr)\b|\breverse dns|\breverse lookup"
        r"|\bdynamic ip|\bhelo\b|\behlo\b|\bno ptr",
        r"\bauthentication (?:required|failed|is required|checks?)|\bmust (?:be )?authenticat"
        r"|\b(?:rejected|refused|filtered) (?:by|due|for|because|as)\b.{0,30}"
        r"\b(?:filter|rule|content|polic|security|reason|user|suspicious|url|link|preference)",
        r"\brelay(?:ing)? (?:not|access|is not|prohibited|through|to)\b|\bunable to relay"
        r"|\bsuspicious|\bsender (?:blocked|denied)|\bcontent (?:rejected|filter|restriction)"
        r"|\bmessage (?:content )?rejected|\bidentified as|\bcontains? (?:a )?(?:url|link)",
        r"\b(?:richtlinie\w*|unerwünscht\w*|abgelehnt wegen|politique|indésirable\w*"
        r"|pol[ií]tica|no deseado|indesiderat\w*|indesejad\w*)\b|спам|политик|垃圾邮件|迷惑メール",
    ),
    Says.UNKNOWN: (
        rf"\b{_WHO}\b(?: \S+){{0,4}}? (?:unknown|not found|not known|not listed|nonexistent"
        r"|non-existent|not exist\w*|unrecogni[sz]ed|not recogni[sz]ed|not (?:a )?valid|invalid"
        r"|no longer (?:exists?|valid|in use|active|on|with)|does ?n[o']t exist"
        r"|could not be found|can(?:not|'t) be found|wasn't found)",
        rf"\b{_WHO}\b.{{0,60}}?\b(?:does(?: not|n't)|did(?: not|n't)|do not) exist",
        rf"\b(?:unknown|no such|nonexistent|non-existent|unrecogni[sz]ed|invalid|illegal|bad)"
        r" (?:final delivery |local |e-?mail |mail |recipient |user |virtual |destination |delivery"
        r" |forwarding )?"
        rf"(?:{_WHO}|person|name|userid|local part|localpart|mail ?drop)\b",
        r"\b(?:unknown|no such|nonexistent|non-existent) (?:host|domain)|\billegal host/domain"
        r"|\bfind a mail exchanger|\bno mx (?:record )?found|\bdoes not accept mail\b|\bnull mx\b"
        r"|\b(?:host|domain)(?: name)?(?: or domain(?: name)?)? (?:unknown|not found|not exist)"
        r"|\bdomain\b.{0,40}\b(?:does not|doesn't) exist|\bnon-existent hosts?|\bnxdomain"
        r"|\bdomain (?:name )?(?:has )?no(?:t found)? mx\b|\bno such domain",
        r"\bunknown or illegal alias|\bunroute?able address|\bunrouteable mail domain"
        r"|\brecip(?:ient)?notfound|\bnot our (?:customer|user)|\bnobody (?:here )?by that name",
        r"\bno (?:mailbox|account|user|recipient|person|one)"
        r" (?:here|by|with|found|of that|named|called|at this|matching|such)",
        r"\b(?:does(?: not|n't)) have (?:an? )?(?:\S+ )?(?:account|mailbox)"
        r"|\bis not a (?:known|valid) (?:user|mailbox|recipient|address)"
        r"|\bnot a (?:known|local|valid) (?:user|recipient|mailbox)"
        r"|\baccount (?:has been |is |was )?(?:deleted|closed|terminated|removed)"
        r"|\bmailbox (?:has been |is |was )?(?:deleted|closed|removed)"
        r"|\bcouldn't (?:be found|find) (?:any )?(?:host|user|mailbox)",
        # Other languages.
        r"\b(?:unbekannter (?:benutzer|empfänger|nutzer)|unbekannte (?:adresse|domain)"
        r"|(?:benutzer|empfänger|nutzer|postfach|adresse|mailadresse|konto)\b.{0,30}"
        r"\b(?:unbekannt|existiert nicht|nicht gefunden|nicht vorhanden|ungültig))",
        r"\b(?:utilisateur|destinataire|adresse|compte|bo[iî]te)\b.{0,40}"
        r"\b(?:inconnue?|n'existe pas|introuvable|invalide|inexistante?)",
        r"\b(?:usuario|destinatario|buz[oó]n|cuenta|direcci[oó]n)\b.{0,40}"
        r"\b(?:desconocid[oa]|no existe|inexistente|no encontrad[oa]|no se encontr)",
        r"\b(?:utente|destinatario|casella|indirizzo|account)\b.{0,40}"
        r"\b(?:sconosciut[oa]|inesistente|non esiste|non trovat[oa])",
        r"\b(?:usu[aá]rio|destinat[aá]rio|caixa|conta|endere[cç]o)\b.{0,40}"
        r"\b(?:desconhecid[oa]|n[aã]o existe|inexistente|n[aã]o encontrad[oa])",
        r"\b(?:gebruiker|ontvanger|postbus|adres|account)\b.{0,40}"
        r"\b(?:onbekend|bestaat niet|niet gevonden)",
        r"\b(?:użytkownik|adres\w*|skrzynka|konto|odbiorca)\b.{0,40}"
        r"\b(?:nie istnieje|nieznan\w*|nie znaleziono)",
        r"(?:пользовател|адрес|ящик|получател|аккаунт).{0,40}"
        r"(?:не найден|не существует|неизвест|недействител)|нет так(?:ого|их) ",
        r"(?:ユーザ|宛先|アドレス|メールボックス|ドメイン).{0,40}(?:存在しま|見つかりま|不明)"
        r"|(?:用户|收件人|邮箱|地址|帐户|账户).{0,12}(?:不存在|未找到|找不到|无效)",
    ),
    # No final word about anything: somebody gave up waiting.
    Says.LATER: (
        r"\b(?:retry|delivery|connection|lookup|operation|session|message) "
        r"(?:time(?:d)?[- ]?out|timeout|expired)|\btime(?:d)?[- ]?out\b|\bexpired\b",
        r"\bconnection (?:refused|reset|timed|lost|dropped|failed|closed)|\bno route to host"
        r"|\bnetwork (?:is )?unreachable|\bhost (?:is )?(?:unreachable|down|not responding)"
        r"|\b(?:temporar\w*|transient|(?:try|retry) (?:again )?later|found, try again)\b"
        r"|\btoo (?:busy|many (?:connections|recipients|errors))|\brate[- ]?limit|\bthrottl"
        r"|\bper (?:hour|day|minute)\b|\b(?:this|an) hour\b"
        r"|\bhost lookup did not complete|\bgreylist\w*|\bgraylist\w*|\bdeferred\b"
        r"|\b(?:not|un)able to connect|\bcould ?n[o']t (?:connect|reach)",
    ),
}
_COMPILED = {
    said: re.compile("|".join(f"(?:{each})" for each in patterns))
    for said, patterns in _PATTERNS.items()
}


def what_it_says(text: str) -> frozenset[Says]:
    """What the words of a reply are about; nothing where none is known."""
    plain = _plain(text)
    said = {each for each, pattern in _COMPILED.items() if pattern.search(plain)}
    if _BLOCK_LISTS.search(text, 0, _LONGEST_TEXT):
        said.add(Says.POLICY)
    return frozenset(said)


def _plain(text: str) -> str:
    text = _ADDRESSES_AND_LINKS.sub(" ", text[:_LONGEST_TEXT])
    text = _REPLY_PREFIX.sub(" ", text).replace("’", "'").replace("_", " ")
    return _SPACE.sub(" ", text).casefold()

"""What other products call the status of a contact."""

from __future__ import annotations

import re

from contacts.models import ContactStatus, fold

# Folded, without anything but letters. Who has not agreed yet is as little to be written to
# as who has left.
_WORDS: dict[str, ContactStatus] = {
    word: status
    for status, words in {
        ContactStatus.SUBSCRIBED: (
            "subscribed subscriber active enabled confirmed verified valid deliverable optedin "
            "optin abonniert angemeldet aktiv abonne inscrit actif suscrito activo iscritto"
        ),
        ContactStatus.UNSUBSCRIBED: (
            "unsubscribed unsubscribe unsub optedout optout nonsubscribed notsubscribed "
            "neversubscribed unconfirmed notconfirmed unverified pending awaitingconfirmation "
            "waiting inactive notactive nonactive disabled deactivated deleted removed archived "
            "paused onhold held left excluded donotcontact donotmail donotemail donotsend "
            "nonmarketing notmarketable blocked blacklisted blocklisted denylisted suppressed "
            "suppression quarantined abgemeldet ausgetragen inaktiv gesperrt desabonne "
            "desinscrit inactif inactivo disiscritto"
        ),
        ContactStatus.BOUNCED: (
            "bounced bounce hardbounced hardbounce softbounced softbounce cleaned invalid "
            "undeliverable undelivered nonexistent unzustellbar"
        ),
        ContactStatus.COMPLAINED: (
            "complained complaint complainer spam spamcomplaint spamreport spamreported "
            "reportedspam markedasspam abuse abusecomplaint abused junk"
        ),
    }.items()
    for word in words.split()
}


def read_status(text: str) -> ContactStatus | None:
    """The status that this word stands for, in any case; None where it is not known."""
    return _WORDS.get(re.sub(r"[\W\d_]+", "", fold(text)))


def least_mailable(*statuses: str) -> ContactStatus:
    """Of what several columns say of one contact, what counts."""
    severity = list(ContactStatus)
    return max(map(ContactStatus, statuses), key=severity.index)

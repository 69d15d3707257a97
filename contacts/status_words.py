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
            "subscribed active confirmed optedin optin abonniert angemeldet aktiv abonne inscrit "
            "actif suscrito activo iscritto"
        ),
        ContactStatus.UNSUBSCRIBED: (
            "unsubscribed unsubscribe unsub optedout optout nonsubscribed notsubscribed "
            "neversubscribed unconfirmed pending inactive blocked blacklisted blocklisted "
            "suppressed abgemeldet ausgetragen inaktiv desabonne desinscrit inactif inactivo "
            "disiscritto"
        ),
        ContactStatus.BOUNCED: (
            "bounced bounce hardbounced hardbounce cleaned invalid undeliverable unzustellbar"
        ),
        ContactStatus.COMPLAINED: (
            "complained complaint complainer spam spamcomplaint markedasspam abuse junk"
        ),
    }.items()
    for word in words.split()
}


def read_status(text: str) -> ContactStatus | None:
    """The status that this word stands for, in any case; None where it is not known."""
    return _WORDS.get(re.sub(r"[\W\d_]+", "", fold(text)))

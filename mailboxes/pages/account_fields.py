"""The fields of the form of an account, under the names that the API gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from accounts.autoconfig import Proposal
from accounts.models import EmailAccount

Values = dict[str, str]

_PROTOCOLS = (("imap", "IMAP"), ("pop3", "POP3"))
_ENCRYPTIONS = (("tls", "TLS"), ("starttls", "STARTTLS"), ("none", "None"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One input. `group` is the part of the form: you, incoming or outgoing."""

    name: str
    label: str
    group: str
    value: str = ""
    type: str = "text"
    options: tuple[tuple[str, str], ...] = ()
    help: str = ""
    is_required: bool = False
    autocomplete: str = "off"
    errors: tuple[str, ...] = ()


def fields_of(values: Mapping[str, str], *, is_stored: bool = False) -> list[FormField]:
    """Filled in, but for the password, which never leaves again."""
    password_help = "Leave it empty to keep the one that is stored." if is_stored else ""
    fields = [
        FormField(
            name="password",
            label="Password",
            group="you",
            type="password",
            help=password_help or "It is kept encrypted, and shown to nobody.",
            is_required=not is_stored,
            autocomplete="new-password",
        ),
        FormField(name="accountName", label="Name of the account", group="you"),
        FormField(name="protocol", label="Protocol", group="incoming", options=_PROTOCOLS),
        FormField(name="hostname", label="Server", group="incoming", is_required=True),
        FormField(name="port", label="Port", group="incoming", type="number"),
        FormField(name="encryption", label="Encryption", group="incoming", options=_ENCRYPTIONS),
        FormField(name="username", label="Login name", group="incoming"),
        FormField(
            name="smtpHostname",
            label="Server",
            group="outgoing",
            help="Leave it empty for an account that is only read.",
        ),
        FormField(name="smtpPort", label="Port", group="outgoing", type="number"),
        FormField(
            name="smtpEncryption", label="Encryption", group="outgoing", options=_ENCRYPTIONS
        ),
        FormField(
            name="smtpUsername",
            label="Login name",
            group="outgoing",
            help="Empty means the same as for reading.",
        ),
    ]
    return [
        field if field.type == "password" else replace(field, value=values.get(field.name, ""))
        for field in fields
    ]


def proposed_values(proposal: Proposal) -> Values:
    """The best of what was proposed."""
    values = {"accountName": proposal.email, "username": proposal.email}
    if proposal.incoming:
        first = proposal.incoming[0]
        values |= {
            "protocol": first.protocol.value,
            "hostname": first.hostname,
            "port": str(first.port),
            "encryption": first.encryption.value,
        }
    if proposal.outgoing:
        first = proposal.outgoing[0]
        values |= {
            "smtpHostname": first.hostname,
            "smtpPort": str(first.port),
            "smtpEncryption": first.encryption.value,
        }
    return values


def stored_values(account: EmailAccount) -> Values:
    """Those of an account that is connected."""
    return {
        "accountName": account.account_name,
        "protocol": account.protocol,
        "hostname": account.hostname,
        "port": str(account.port),
        "encryption": account.encryption,
        "username": account.username,
        "smtpHostname": account.smtp_hostname,
        "smtpPort": str(account.smtp_port or ""),
        "smtpEncryption": account.smtp_encryption,
        "smtpUsername": account.smtp_username,
    }

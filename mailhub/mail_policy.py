"""What this installation allows of the mail servers that its users name."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from mailhub.errors import InvalidInput
from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, Login, Protocol, ServerSettings


@lru_cache(maxsize=8)
def _guard(networks: tuple[str, ...]) -> HostGuard:
    return HostGuard.allowing(list(networks))


def host_guard() -> HostGuard:
    """The guard that stands before every host a user names, webhook and token URLs too."""
    return _guard(tuple(settings.MAILHUB_ALLOWED_NETWORKS))


def server_settings(
    protocol: Protocol, host: str, port: int, encryption: Encryption, login: Login | None
) -> ServerSettings:
    """A user's server under this installation's rules.

    Raises InvalidInput where the connection would not be encrypted and the installation
    does not allow that.
    """
    if encryption is Encryption.NONE and not settings.MAILHUB_ALLOW_PLAINTEXT:
        raise InvalidInput(
            "This installation does not allow unencrypted connections to mail servers.",
            code="plaintext_not_allowed",
        )
    return ServerSettings(
        protocol=protocol,
        host=host,
        port=port,
        encryption=encryption,
        login=login,
        timeout=settings.MAILHUB_MAIL_TIMEOUT,
        guard=host_guard(),
        ca_file=settings.MAILHUB_CA_FILE,
    )


def refuse_attachment(filename: str) -> None:
    """Raises InvalidInput for a kind of file that this installation does not send.

    The name's last extension decides, as receiving systems read it: without the dots and
    spaces that some of them drop from its end.
    """
    extension = filename.rstrip(". ").rpartition(".")[2].strip().lower()
    if extension in settings.MAILHUB_REFUSED_ATTACHMENTS:
        raise InvalidInput(
            f"Attachments of type .{extension} are not sent by this installation.",
            code="attachment_refused",
            details={"filename": filename},
        )

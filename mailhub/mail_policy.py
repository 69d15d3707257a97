"""What this installation allows of the mail servers that its users name."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from mailhub.errors import Conflict, InvalidInput
from mailhub.mail.aws import AwsKeys
from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, Login, PasswordLogin, Protocol, ServerSettings
from mailhub.mail.transports.ses import SesSettings


@lru_cache(maxsize=8)
def _guard(networks: tuple[str, ...]) -> HostGuard:
    return HostGuard.allowing(list(networks))


def host_guard() -> HostGuard:
    """The guard that stands before every host a user names, webhook and token URLs too."""
    return _guard(tuple(settings.MAILHUB_ALLOWED_NETWORKS))


def unlimited_guard() -> HostGuard:
    """The guard for hosts that the operator has named, which may be anywhere."""
    return _guard(("0.0.0.0/0", "::/0"))


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


def default_server() -> ServerSettings:
    """The installation's own server, which may be anywhere: its operator has named it.

    Raises Conflict where there is none.
    """
    if not settings.SMTP_SERVER:
        raise Conflict("This installation has no mail server of its own.", code="no_mail_server")
    username = settings.SMTP_USERNAME
    return ServerSettings(
        protocol=Protocol.SMTP,
        host=settings.SMTP_SERVER,
        port=settings.SMTP_PORT,
        encryption=Encryption(settings.SMTP_ENCRYPTION),
        login=PasswordLogin(username, settings.SMTP_PASSWORD) if username else None,
        timeout=settings.MAILHUB_MAIL_TIMEOUT,
        guard=unlimited_guard(),
        ca_file=settings.MAILHUB_CA_FILE,
    )


def default_ses() -> SesSettings:
    """The installation's own account of Amazon SES. Raises Conflict where there is none."""
    if not settings.AWS_SES_REGION_NAME:
        raise Conflict("This installation has no region of SES to send from.", code="no_ses_region")
    keys = None
    if settings.AWS_SES_ACCESS_KEY_ID:
        keys = AwsKeys(
            settings.AWS_SES_ACCESS_KEY_ID,
            settings.AWS_SES_SECRET_ACCESS_KEY or "",
            settings.AWS_SES_SESSION_TOKEN or "",
        )
    return ses_settings(
        settings.AWS_SES_REGION_NAME, keys, settings.AWS_SES_CONFIGURATION_SET or ""
    )


def ses_settings(region: str, keys: AwsKeys | None, configuration_set: str) -> SesSettings:
    """An account of SES under this installation's rules.

    The operator's own address of SES stands for its region alone.
    """
    is_own = region == settings.AWS_SES_REGION_NAME
    return SesSettings(
        region=region,
        keys=keys,
        endpoint=(settings.AWS_SES_REGION_ENDPOINT_URL or "") if is_own else "",
        configuration_set=configuration_set,
        size_limit=settings.MAILHUB_SES_MESSAGE_LIMIT,
        timeout=settings.MAILHUB_MAIL_TIMEOUT,
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

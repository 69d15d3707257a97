"""The accounts app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts.api import schema  # noqa: F401, PLC0415 - registers the ways to log in
        from accounts.events import email_accounts  # noqa: PLC0415 - models load first

        email_accounts.listen()

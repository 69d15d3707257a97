"""The house itself, as a Django app: management commands and system checks."""

from django.apps import AppConfig


class MailhubConfig(AppConfig):
    name = "mailhub"
    verbose_name = "mailhub"

    def ready(self) -> None:
        from mailhub import checks  # noqa: F401, PLC0415 - registers the system checks

"""Django's mail, or django-post_office, sending personalised messages of 4 kB; prints seconds.

    python django_peer.py backend|post_office PORT COUNT

A process of its own with settings of its own: nothing of mailhub is in it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import django
from django.conf import settings

PROSE = "All that is new this spring, told in a few words for whoever has the time.\n" * 21


def main() -> None:
    """Send, and print how long it took."""
    which, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        settings.configure(
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.sqlite3",
                    "NAME": str(Path(folder) / "peer.sqlite3"),
                }
            },
            INSTALLED_APPS=["post_office"] if which == "post_office" else [],
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=port,
            USE_TZ=True,
            TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
            POST_OFFICE={"BATCH_SIZE": 1000, "THREADS_PER_PROCESS": 4, "LOG_LEVEL": 0},
        )
        django.setup()
        if which == "post_office":
            from django.core.management import call_command  # noqa: PLC0415 - settings first

            call_command("migrate", verbosity=0)
        before = time.perf_counter()
        (send_by_post_office if which == "post_office" else send_by_backend)(count)
        sys.stdout.write(f"{time.perf_counter() - before}\n")


def letters(count: int) -> Iterator[dict[str, object]]:
    """The parts of each message."""
    for number in range(count):
        name = f"First{number}"
        yield {
            "name": name,
            "to": f"{name} Last <person{number}@example.com>",
            "headers": {"List-Unsubscribe": f"<https://news.example.org/u/{number}>"},
            "text": f"Dear {name},\n\n{PROSE}",
            "html": f"<html><body><p>Dear {name},</p><p>{PROSE}</p></body></html>",
        }


def send_by_backend(count: int) -> None:
    """One connection, as send_mass_mail does it."""
    from django.core.mail import EmailMultiAlternatives, get_connection  # noqa: PLC0415 - settings first

    with get_connection("django.core.mail.backends.smtp.EmailBackend") as connection:
        for letter in letters(count):
            message = EmailMultiAlternatives(
                f"News for {letter['name']}",
                str(letter["text"]),
                "Shop <shop@example.org>",
                [str(letter["to"])],
                headers=letter["headers"],
                connection=connection,
            )
            message.attach_alternative(str(letter["html"]), "text/html")
            message.send()


def send_by_post_office(count: int) -> None:
    """Queued in bulk, then sent as its command does it."""
    from post_office import mail  # noqa: PLC0415 - settings first

    queued = [
        {
            "sender": "Shop <shop@example.org>",
            "recipients": [letter["to"]],
            "subject": f"News for {letter['name']}",
            "message": letter["text"],
            "html_message": letter["html"],
            "headers": letter["headers"],
        }
        for letter in letters(count)
    ]
    mail.send_many(queued)
    mail.send_queued_mail_until_done(processes=1)


if __name__ == "__main__":
    main()

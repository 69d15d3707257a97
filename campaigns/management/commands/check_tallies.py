"""Compares what campaigns say about themselves with their recipients, one by one."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from campaigns.models import Campaign
from campaigns.tallies import create_tallies, wrong_tallies


class Command(BaseCommand):
    """Ends with 1 where something differs."""

    help = "count the recipients of all campaigns, and compare with the numbers that are kept"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--mend", action="store_true", help="count anew, and make the triggers anew"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = wrong_tallies()
        names = dict(Campaign.objects.filter(pk__in=wrong).values_list("pk", "campaign_id"))
        for key, (kept, counted) in wrong.items():
            self.stdout.write(f"{names.get(key, key)}: kept {kept}, counted {counted}")
        if options["mend"]:
            with transaction.atomic():
                create_tallies(connection)
            self.stdout.write("Counted anew.")
        elif wrong:
            raise CommandError(f"{len(wrong)} campaigns say something else than their recipients.")
        else:
            self.stdout.write("All numbers are right.")

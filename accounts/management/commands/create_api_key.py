"""Make an API key for a user, and print it, alone, on standard output."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.caller import ALL_SCOPES
from accounts.models import ApiKey, Membership, Role, Tenant


class Command(BaseCommand):
    help = "Makes an API key and prints it. It is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, metavar="SLUG")
        parser.add_argument("--user", required=True, metavar="NAME")
        parser.add_argument(
            "--create", action="store_true", help="make the tenant and the user where missing"
        )
        parser.add_argument(
            "--role",
            choices=Role.values,
            help="of a user that is made; else owner for a tenant's first user, then member",
        )
        parser.add_argument(
            "--service", action="store_true", help="the key may act for any user of the tenant"
        )
        parser.add_argument(
            "--scopes", default="", metavar="A,B", help=f"some of {', '.join(ALL_SCOPES)}"
        )
        parser.add_argument("--name", default="", help="what the key is for")

    def handle(self, *_arguments: Any, **options: Any) -> None:
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        unknown = sorted(set(scopes) - set(ALL_SCOPES))
        if unknown:
            raise CommandError(
                f"Unknown scopes: {', '.join(unknown)}. There are {', '.join(ALL_SCOPES)}."
            )
        try:
            with transaction.atomic():
                membership = _find_or_create(options)
                _, text = ApiKey.objects.issue(
                    membership,
                    name=options["name"],
                    scopes=scopes,
                    is_service=options["service"],
                )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(text)


def _find_or_create(options: dict[str, Any]) -> Membership:
    slug, name, may_create = options["tenant"], options["user"], options["create"]
    tenant = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        if not may_create:
            raise CommandError(f"There is no tenant {slug}; --create makes it.")
        tenant = Tenant(slug=slug, name=slug)
        tenant.full_clean()
        tenant.save()
    membership = Membership.objects.filter(tenant=tenant, name=name).select_related("user").first()
    if membership is not None:
        if options["role"] and options["role"] != membership.role:
            raise CommandError(f"{name} exists, as {membership.role}.")
        return membership
    if not may_create:
        raise CommandError(f"The tenant {slug} has no user {name}; --create makes it.")
    is_first = not Membership.objects.filter(tenant=tenant).exists()
    role = Role(options["role"]) if options["role"] else (Role.OWNER if is_first else Role.MEMBER)
    return Membership.objects.add_user(tenant, name, role)

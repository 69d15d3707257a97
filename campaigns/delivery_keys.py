"""What foreign keys would see to for deliveries, once a statement where they look once a row.

A million deliveries written at once would be a million looks for their campaign and as many
for their contacts, half of the time that fixing an audience takes on PostgreSQL. So neither
column is a constraint of the database. Triggers do what follows on a deletion, whoever
deletes; a piece of an audience holds a lock by which no contact of its tenant is deleted
until its rows can be seen, and a campaign that is deleted waits for the row of its audience.
SQLite has one writer at a time, and needs the triggers alone.

Nor is the shift, which a claim would look up for each of its rows: a claim holds the row of its
shift (`campaigns.engine.claims`), and who deletes a shift has first given away what names it.

A later migration that alters `contacts` or `campaigns` makes SQLite's table anew, without its
triggers: it must end with `create_delivery_keys`.
"""

from __future__ import annotations

from typing import Final

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from accounts.models import Tenant
from campaigns.models import Delivery

_TRIGGERS: Final = {
    "delivery_contact_gone": "contacts",
    # On PostgreSQL triggers go by their names: before `campaign_tally_gone`, which would
    # otherwise leave the tally of these deletions behind.
    "campaign_deliveries_gone": "campaigns",
}
_LOCK: Final = f"SELECT 1 FROM {Tenant._meta.db_table} WHERE id = %s FOR"  # noqa: S608 - a constant


def keep_contacts(tenant: Tenant) -> None:
    """Let no contact of the tenant be deleted until the end of this transaction.

    What it reads from here on is there when it ends. Several may at once.
    """
    _lock(tenant, "SHARE")


def keep_audiences(tenant: Tenant) -> None:
    """Let no delivery be written to an audience of the tenant until the end of this transaction.

    Waits for those that are being written, so that all can be seen.
    """
    _lock(tenant, "NO KEY UPDATE")


def _lock(tenant: Tenant, strength: str) -> None:
    connection = connections[router.db_for_write(Delivery)]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"{_LOCK} {strength}", [tenant.pk])


def create_delivery_keys(connection: BaseDatabaseWrapper) -> None:
    """Make the triggers; those that exist go."""
    remove_delivery_keys(connection)
    statements = _SQLITE if connection.vendor == "sqlite" else _POSTGRESQL
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def remove_delivery_keys(connection: BaseDatabaseWrapper) -> None:
    """Drop the triggers."""
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        for name, table in _TRIGGERS.items():
            on = "" if is_sqlite else f" ON {table}"
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")
            if not is_sqlite:
                cursor.execute(f"DROP FUNCTION IF EXISTS {name}()")


_SQLITE: Final = (
    "CREATE TRIGGER delivery_contact_gone AFTER DELETE ON contacts BEGIN"
    " UPDATE campaign_deliveries SET contact_id = NULL WHERE contact_id = old.id; END",
    "CREATE TRIGGER campaign_deliveries_gone AFTER DELETE ON campaigns BEGIN"
    " DELETE FROM campaign_deliveries WHERE campaign_id = old.id; END",
)
_POSTGRESQL: Final = (
    "CREATE FUNCTION delivery_contact_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"  # noqa: S608 - a constant
    f" PERFORM 1 FROM {Tenant._meta.db_table} WHERE id IN (SELECT tenant_id FROM gone)"
    " ORDER BY id FOR NO KEY UPDATE;"
    " UPDATE campaign_deliveries SET contact_id = NULL FROM gone WHERE contact_id = gone.id;"
    " RETURN NULL; END $$",
    "CREATE TRIGGER delivery_contact_gone AFTER DELETE ON contacts"
    " REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delivery_contact_gone()",
    "CREATE FUNCTION campaign_deliveries_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " DELETE FROM campaign_deliveries WHERE campaign_id = old.id; RETURN NULL; END $$",
    "CREATE TRIGGER campaign_deliveries_gone AFTER DELETE ON campaigns"
    " FOR EACH ROW EXECUTE FUNCTION campaign_deliveries_gone()",
)

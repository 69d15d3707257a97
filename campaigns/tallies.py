"""How many deliveries are in each state: kept by triggers, in the transaction that changes rows.

Nothing that writes deliveries can forget to count them, and whoever looks sees the numbers that
belong to the rows it would see. SQLite has one writer at a time: a campaign has one tally there,
which every changed row moves. On PostgreSQL workers would wait for each other at such a row:
there each statement adds a tally of its own with what it changed, and `fold_tallies` makes one
of many now and then.

A later migration that alters `campaign_deliveries` or `campaigns` makes SQLite's table anew,
without its triggers: it must end with `create_tallies`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count, Sum

from campaigns.models import CampaignTally, Delivery, DeliveryState

Counts = dict[str, int]

STATES: Final = tuple(str(state) for state in DeliveryState)
_COLUMNS: Final = ", ".join(STATES)
_EVENTS: Final = ("insert", "update", "delete")


def counts_of(campaigns: Iterable[int]) -> dict[int, Counts]:
    """By campaign, its deliveries by state, from one statement; none of a campaign without any."""
    rows = CampaignTally.objects.filter(campaign__in=list(campaigns)).order_by()
    sums = rows.values_list("campaign_id").annotate(*map(Sum, STATES))
    return {campaign: dict(zip(STATES, counts, strict=True)) for campaign, *counts in sums}


def fold_tallies(campaign: int) -> None:
    """Make one of all the tallies of a campaign; its sum is the same at every moment."""
    connection = connections[router.db_for_write(CampaignTally)]
    if connection.vendor != "postgresql":
        return
    sums = ", ".join(f"sum({state})" for state in STATES)
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH parts AS (DELETE FROM campaign_tallies WHERE campaign_id = %s RETURNING *)"  # noqa: S608 - constants
            f" INSERT INTO campaign_tallies (campaign_id, {_COLUMNS})"
            f" SELECT campaign_id, {sums} FROM parts GROUP BY campaign_id",
            [campaign],
        )


def wrong_tallies() -> dict[int, tuple[Counts, Counts]]:
    """The campaigns whose tallies are not what their deliveries say: both, by campaign.

    Counts every delivery. Nothing is to be found, unless triggers were taken away.
    """
    with transaction.atomic():
        kept = counts_of(CampaignTally.objects.values_list("campaign_id", flat=True).distinct())
        counted: dict[int, Counts] = {}
        rows = Delivery.objects.order_by().values_list("campaign_id", "state")
        for campaign, state, count in rows.annotate(Count("pk")):
            counted.setdefault(campaign, dict.fromkeys(STATES, 0))[state] = count
    nothing = dict.fromkeys(STATES, 0)
    both = {
        key: (kept.get(key, nothing), counted.get(key, nothing)) for key in kept.keys() | counted
    }
    return {key: (tally, rows) for key, (tally, rows) in both.items() if tally != rows}


def create_tallies(connection: BaseDatabaseWrapper) -> None:
    """Count the deliveries that are there, and make the triggers; those that exist go."""
    remove_tallies(connection)
    counts = ", ".join(f"sum(CASE WHEN state = '{state}' THEN 1 ELSE 0 END)" for state in STATES)
    count = (
        f"INSERT INTO campaign_tallies (campaign_id, {_COLUMNS})"  # noqa: S608 - constants
        f" SELECT campaign_id, {counts} FROM campaign_deliveries GROUP BY campaign_id"
    )
    triggers = _sqlite() if connection.vendor == "sqlite" else _postgresql()
    _run(connection, ["DELETE FROM campaign_tallies", count, *triggers])


def remove_tallies(connection: BaseDatabaseWrapper) -> None:
    """Drop the triggers."""
    is_sqlite = connection.vendor == "sqlite"
    of = dict.fromkeys((*_EVENTS, "moved"), "campaign_deliveries") | {"gone": "campaigns"}
    drops = [
        f"DROP TRIGGER IF EXISTS campaign_tally_{name}" + ("" if is_sqlite else f" ON {table}")
        for name, table in of.items()
    ]
    if not is_sqlite:
        names = (*_EVENTS, "gone")
        drops += [f"DROP FUNCTION IF EXISTS campaign_tally_{name}()" for name in names]
    _run(connection, drops)


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _sqlite() -> list[str]:
    def moved(sign: str, row: str) -> str:
        changes = (f"{state} = {state} {sign} ({row}.state = '{state}')" for state in STATES)
        return (
            f"UPDATE campaign_tallies SET {', '.join(changes)}"  # noqa: S608 - constants
            f" WHERE campaign_id = {row}.campaign_id;"
        )

    changes = (
        f"{each} = {each} + (new.state = '{each}') - (old.state = '{each}')" for each in STATES
    )
    changed = (
        f"UPDATE campaign_tallies SET {', '.join(changes)}"  # noqa: S608 - constants
        " WHERE campaign_id = new.campaign_id;"
    )
    begin = (
        f"INSERT INTO campaign_tallies (campaign_id, {_COLUMNS})"  # noqa: S608 - constants
        f" SELECT new.campaign_id, {', '.join('0' * len(STATES))} WHERE NOT EXISTS"
        " (SELECT 1 FROM campaign_tallies WHERE campaign_id = new.campaign_id);"
    )
    deliveries = "ON campaign_deliveries"
    added, taken = moved("+", "new"), moved("-", "old")
    return [
        f"CREATE TRIGGER campaign_tally_insert AFTER INSERT {deliveries} BEGIN {begin} {added} END",
        f"CREATE TRIGGER campaign_tally_delete AFTER DELETE {deliveries} BEGIN {taken} END",
        f"CREATE TRIGGER campaign_tally_update AFTER UPDATE OF state {deliveries}"
        " WHEN old.state <> new.state AND old.campaign_id = new.campaign_id"
        f" BEGIN {changed} END",
        f"CREATE TRIGGER campaign_tally_moved AFTER UPDATE OF campaign_id {deliveries}"
        f" WHEN old.campaign_id <> new.campaign_id BEGIN {taken} {begin} {added} END",
        "CREATE TRIGGER campaign_tally_gone AFTER DELETE ON campaigns"
        " BEGIN DELETE FROM campaign_tallies WHERE campaign_id = old.id; END",
    ]


def _postgresql() -> list[str]:
    sources = {
        "insert": "SELECT campaign_id, state, 1 AS sign FROM added",
        "delete": "SELECT campaign_id, state, -1 AS sign FROM taken",
    }
    sources["update"] = f"{sources['insert']} UNION ALL {sources['delete']}"
    tables = {"insert": "NEW TABLE AS added", "delete": "OLD TABLE AS taken"}
    tables["update"] = f"{tables['insert']} {tables['delete']}"
    sums = [f"sum(CASE WHEN state = '{state}' THEN sign ELSE 0 END)" for state in STATES]
    has_changed = " OR ".join(f"{each} <> 0" for each in sums)
    statements = [
        statement
        for event in _EVENTS
        for statement in (
            f"CREATE FUNCTION campaign_tally_{event}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"  # noqa: S608 - constants
            f" INSERT INTO campaign_tallies (campaign_id, {_COLUMNS})"
            f" SELECT campaign_id, {', '.join(sums)} FROM ({sources[event]}) AS changes"
            f" GROUP BY campaign_id HAVING {has_changed}; RETURN NULL; END $$",
            f"CREATE TRIGGER campaign_tally_{event} AFTER {event.upper()} ON campaign_deliveries"
            f" REFERENCING {tables[event]} FOR EACH STATEMENT"
            f" EXECUTE FUNCTION campaign_tally_{event}()",
        )
    ]
    return [
        *statements,
        "CREATE FUNCTION campaign_tally_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " DELETE FROM campaign_tallies WHERE campaign_id = old.id; RETURN NULL; END $$",
        "CREATE TRIGGER campaign_tally_gone AFTER DELETE ON campaigns"
        " FOR EACH ROW EXECUTE FUNCTION campaign_tally_gone()",
    ]

"""Deleting a tenant with everything that it has: in pieces, for it may be millions of rows.

What belongs to it is told from the models: all from which a chain of cascades leads to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import CASCADE, RESTRICT, ForeignObjectRel, Model, QuerySet

from accounts.models import EventWebhook, Tenant, User

_ROWS_A_PIECE = 500
# So many rows of one kind a page deletes while somebody waits for it.
MOST_ON_A_PAGE = 1_000


def is_large(tenant: Tenant) -> bool:
    """Whether it has more than a page can delete."""
    return any(
        rows.order_by()[: MOST_ON_A_PAGE + 1].count() > MOST_ON_A_PAGE for rows in _owned(tenant)
    )


def delete_in_pieces(tenant: Tenant) -> Iterator[int]:
    """Delete what it has, the tenant at last; after each piece, how many rows have gone.

    Each piece is a transaction: called again after an end in the middle, it goes on.
    """
    gone = 0
    for rows in _owned(tenant):
        while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:_ROWS_A_PIECE]):
            gone += rows.model._base_manager.filter(pk__in=keys).delete()[0]
            yield gone
    yield gone + delete_tenant(tenant)


def delete_tenant(tenant: Tenant) -> int:
    """Delete it at once, with its users who belong to no other and are no staff; how many rows."""
    with transaction.atomic():
        users = list(tenant.memberships.values_list("user", flat=True))
        gone = tenant.delete()[0]
        left = User.objects.filter(pk__in=users, memberships=None, is_staff=False)
        return gone + left.delete()[0]


def _owned(tenant: Tenant) -> Iterator[QuerySet[Any]]:
    """What it has, by model: whatever hangs on a row before the row itself."""
    # Nobody is to be told of what follows; what others must not lose goes when they are gone.
    relations = sorted(
        _cascades(Tenant),
        key=lambda each: (each[0] is not EventWebhook, _is_restricting(each[0])),
    )
    for model, field in relations:
        yield from _beneath(model, field, tenant, (Tenant, model))


def _beneath(
    model: type[Model], path: str, tenant: Tenant, above: tuple[type[Model], ...]
) -> Iterator[QuerySet[Any]]:
    for each, field in _cascades(model):
        if each not in above:
            yield from _beneath(each, f"{field}__{path}", tenant, (*above, each))
    # Who belongs to it is asked at the end: users are more than their memberships.
    if model._meta.label != "accounts.Membership":
        yield model._base_manager.filter(**{path: tenant})


def _cascades(model: type[Model]) -> list[tuple[type[Model], str]]:
    """The models whose rows go with one of this, by which field; those built upon others first."""
    return [
        (relation.related_model, relation.field.name)
        for relation in reversed(_relations_to(model))
        if relation.on_delete is CASCADE
    ]


def _is_restricting(model: type[Model]) -> bool:
    return any(relation.on_delete is RESTRICT for relation in _relations_to(model))


def _relations_to(model: type[Model]) -> list[Any]:
    """The foreign keys that lead here, those without a name on this side too."""
    fields = model._meta.get_fields(include_hidden=True)
    return [
        field for field in fields if isinstance(field, ForeignObjectRel) and not field.many_to_many
    ]

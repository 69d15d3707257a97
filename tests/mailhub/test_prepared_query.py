"""A prepared query: it answers as its queryset would, each time for the values it is given."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import CharField, Count, DateTimeField, F, QuerySet
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiKey
from mailhub.prepared_query import Parameter, PreparedQuery
from tests.people import People


def keys_of() -> QuerySet[ApiKey]:
    return (
        ApiKey.objects.select_related("tenant")
        .annotate(members=Count("tenant__memberships"), joined=F("user__date_joined"))
        .filter(
            tenant__slug=Parameter("slug", CharField()),
            created_at__gte=Parameter("since", DateTimeField()),
        )
        .order_by("name")
    )


def test_each_time_it_answers_for_the_values_given(people: People) -> None:
    mine, foreign = people.member.api_key, people.stranger.api_key
    assert people.teammate.tenant == people.tenant
    query = PreparedQuery(keys_of)
    since = min(mine.created_at, foreign.created_at)
    for _ in range(2):
        assert mine in query.rows(slug="acme", since=since)
        assert query.rows(slug="globex", since=since) == [foreign]
        assert query.rows(slug="nowhere", since=since) == []
        assert query.first(slug="nowhere", since=since) is None
        assert query.first(slug="globex", since=datetime.max.replace(tzinfo=since.tzinfo)) is None
    foreign.name = "renamed"
    foreign.save()
    assert [row.name for row in query.rows(slug="globex", since=since)] == ["renamed"]


def test_rows_come_whole_with_what_stands_beside_them(people: People) -> None:
    person = people.stranger
    query = PreparedQuery(keys_of)
    with CaptureQueriesContext(connection) as asked:
        row = query.first(slug="globex", since=person.api_key.created_at)
        assert row is not None
        assert row.tenant.slug == "globex"
    assert len(asked) == 1
    assert isinstance(row.pk, UUID)
    assert row.scopes == person.api_key.scopes
    assert row.created_at == person.api_key.created_at
    assert vars(row)["members"] == 1
    assert vars(row)["joined"] == person.user.date_joined


def test_a_value_that_is_not_given_is_missed(people: People) -> None:
    query = PreparedQuery(keys_of)
    assert query.rows(slug="acme", since=people.tenant.created_at) == []
    with pytest.raises(KeyError):
        query.rows(slug="acme")

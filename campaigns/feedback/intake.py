"""Taking in what Amazon SNS tells: a row at once, so that nothing told is lost; what follows
from it comes soon after (`campaigns.feedback.following`).

A notice is taken from a topic that a tenant has registered, and from no other. Where several
have registered the same one, a notice is kept for whose message it names, else for each of
them, and acts on the mail of that tenant alone. What one of them is shown of the topic is then
only what its own mail had a part in: who has merely named it learns nothing of its use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from campaigns.feedback.ses_events import tagged_tenant
from campaigns.feedback.sns import (
    END_OF_SUBSCRIPTION,
    SUBSCRIPTION,
    Notice,
    confirm_subscription,
    verify_notice,
)
from campaigns.models import SesNotice, SesTopic
from mailhub.errors import NotAllowed
from mailhub.logs import get_logger

log = get_logger(__name__)

_TOLD_EVERY = timedelta(seconds=10)
_ENDED = "SNS says that the subscription has ended: nothing is told here any more."


def take_posted(notice: Notice) -> None:
    """One that came to our address. Raises NotAllowed where it is not to be trusted, and Busy
    where SNS is to tell it again later."""
    rows = SesTopic.objects.filter(arn=notice.topic, tenant__is_active=True)
    topics = list(rows.select_related("tenant"))
    if not topics:
        raise NotAllowed("This topic is not registered here.", code="unknown_topic")
    verify_notice(notice)
    if notice.kind == SUBSCRIPTION:
        confirm_subscription(notice)
        if len(topics) == 1:
            rows.update(confirmed_at=timezone.now(), trouble="")
    elif notice.kind == END_OF_SUBSCRIPTION:
        rows.filter(confirmed_at__isnull=False).update(confirmed_at=None, trouble=_ENDED)
    else:
        _keep_for(topics, notice)


def _keep_for(topics: Sequence[SesTopic], notice: Notice) -> None:
    """Keep it for the tenant that it names, else for all who have registered its topic."""
    slug = tagged_tenant(notice.message) if len(topics) > 1 else ""
    named = [topic for topic in topics if topic.tenant.slug == slug]
    known = [(notice.notice_id, notice.message)]
    for topic in named or topics:
        keep_notices(topic, known, is_shown=bool(named) or len(topics) == 1)
    if named and named[0].confirmed_at is None:
        subscribed = SesTopic.objects.filter(pk=named[0].pk, confirmed_at=None)
        subscribed.update(confirmed_at=timezone.now(), trouble="")


def keep_notices(
    topic: SesTopic, notices: Iterable[tuple[str, str]], *, is_shown: bool = True
) -> None:
    """Keep these (id and event) to be acted on; what was told before changes nothing."""
    now = timezone.now()
    rows = [
        SesNotice(topic=topic, notice_id=notice_id[:100], event=event, received_at=now, due_at=now)
        for notice_id, event in notices
    ]
    with transaction.atomic():
        SesNotice.objects.bulk_create(rows, ignore_conflicts=True)
        if not is_shown:
            return
        # Not with each: whoever takes notices in at the same time would wait for this row.
        known = Q(last_notice_at__gte=now - _TOLD_EVERY)
        SesTopic.objects.filter(~known | Q(last_notice_at=None), pk=topic.pk).update(
            last_notice_at=now
        )

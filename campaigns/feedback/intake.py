"""Taking in what Amazon SNS tells: a row at once, so that nothing told is lost; what follows
from it comes soon after (`campaigns.feedback.following`).

A notice is taken from a topic that a tenant has registered, and from no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

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
    topic = SesTopic.objects.filter(arn=notice.topic, tenant__is_active=True).first()
    if topic is None:
        raise NotAllowed("This topic is not registered here.", code="unknown_topic")
    verify_notice(notice)
    if notice.kind == SUBSCRIPTION:
        confirm_subscription(notice)
        SesTopic.objects.filter(pk=topic.pk).update(confirmed_at=timezone.now(), trouble="")
    elif notice.kind == END_OF_SUBSCRIPTION:
        SesTopic.objects.filter(pk=topic.pk).update(confirmed_at=None, trouble=_ENDED)
    else:
        keep_notices(topic, [(notice.notice_id, notice.message)])


def keep_notices(topic: SesTopic, notices: Iterable[tuple[str, str]]) -> None:
    """Keep these (id and event) to be acted on; what was told before changes nothing."""
    now = timezone.now()
    rows = [
        SesNotice(topic=topic, notice_id=notice_id[:100], event=event, received_at=now, due_at=now)
        for notice_id, event in notices
    ]
    with transaction.atomic():
        SesNotice.objects.bulk_create(rows, ignore_conflicts=True)
        # Not with each: whoever takes notices in at the same time would wait for this row.
        known = Q(last_notice_at__gte=now - _TOLD_EVERY)
        SesTopic.objects.filter(~known | Q(last_notice_at=None), pk=topic.pk).update(
            last_notice_at=now
        )

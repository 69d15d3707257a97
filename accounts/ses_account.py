"""What SES says of an account: its rate, its daily quota, and whether it is in the sandbox."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q

from accounts.models import SesQuota
from accounts.models.ses_quota import UNLIMITED
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError, MessageRefused, QuotaExceeded, RateExceeded
from mailhub.mail.transports.ses import SesSettings
from mailhub.mail.transports.ses_wire import SesWire

log = get_logger(__name__)

# What an account begins with that left the sandbox, for keys that may not ask.
_ASSUMED_RATE = 10.0
_EVERY = timedelta(minutes=5)
# Where the end of the day's allowance is near, or SES did not answer.
_OFTEN = timedelta(minutes=1)
_NEAR = 0.8
_BEING_READ = timedelta(seconds=20)


def row_for(settings: SesSettings) -> SesQuota:
    """The row of all who send with these keys in this region, as it is when it is new."""
    key_id = settings.keys.access_key_id if settings.keys else ""
    named = "\0".join((settings.region, settings.endpoint, key_id))
    key = hashlib.sha256(named.encode()).hexdigest()
    return SesQuota(key=key, region=settings.region, access_key_id=key_id)


def read_account(row: SesQuota, now: datetime, settings: SesSettings) -> None:
    """Ask SES again, unless somebody else does.

    Raises MailError where nothing is known of the account and SES cannot be asked; keys that
    may not ask are told of, and a moderate rate is assumed for them.
    """
    mine = SesQuota.objects.filter(pk=row.pk)
    if row.is_known:
        due = mine.filter(Q(read_due_at=None) | Q(read_due_at__lte=now))
        if not due.update(read_due_at=now + _BEING_READ):
            return
    try:
        account = SesWire(settings.service).get_account()
    except MessageRefused as error:
        if error.permanent:
            log.warning("SES's quota is not known", account=str(row), reply=str(error.reply))
            mine.update(**_assumed(error, now))
            return
        _stand(row, error, now)
    except MailError as error:
        _stand(row, error, now)
    else:
        mine.update(**_known(account, now))


def _stand(row: SesQuota, error: MailError, now: datetime) -> None:
    """What was known before still holds; where nothing was, nothing can be sent."""
    throttled = isinstance(error, RateExceeded | QuotaExceeded)
    if not row.is_known and not throttled:
        raise error
    if not row.is_known:
        raise RateExceeded("SES is asked too often what this account may send.") from error
    log.warning("SES did not say what may be sent", account=str(row), error=error.message)
    SesQuota.objects.filter(pk=row.pk).update(read_due_at=now + _OFTEN)


def _assumed(error: MailError, now: datetime) -> dict[str, object]:
    return {
        "rate": _ASSUMED_RATE,
        "daily": UNLIMITED,
        "is_known": True,
        "note": f"These keys may not ask SES for the quota: {error.reply}",
        "version": F("version") + 1,
        "read_due_at": now + _EVERY,
    }


def _known(account: dict[str, Any], now: datetime) -> dict[str, object]:
    quota = account.get("SendQuota", {})
    daily, sent = float(quota.get("Max24HourSend", 0)), float(quota.get("SentLast24Hours", 0))
    is_near = daily != UNLIMITED and sent >= daily * _NEAR
    return {
        "rate": max(float(quota.get("MaxSendRate", 1)), 0.01),
        "daily": daily,
        "sent": sent,
        "taken": 0,
        "is_known": True,
        "is_in_sandbox": not account.get("ProductionAccessEnabled", True),
        "is_enabled": bool(account.get("SendingEnabled", True)),
        "note": "",
        "version": F("version") + 1,
        "read_at": now,
        "read_due_at": now + (_OFTEN if is_near else _EVERY),
        "paused_until": None,
        "frees_at": None,
    }

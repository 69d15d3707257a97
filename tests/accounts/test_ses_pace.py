"""The allowance of an SES account, shared by whoever draws on it."""

from __future__ import annotations

import dataclasses
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import SesQuota
from accounts.ses_account import row_for
from accounts.ses_pace import SesPace, pace_of
from mailhub.mail.aws import AwsKeys
from mailhub.mail.errors import (
    ConnectionFailed,
    LoginFailed,
    QuotaExceeded,
    RateExceeded,
    Reply,
    SendingPaused,
)
from mailhub.mail.transports.ses import SesSettings
from tests.servers.ses import KEYS, THROTTLED, Limits, Refusal, SesFake

pytestmark = pytest.mark.django_db


@pytest.fixture
def ses(ses_fake: SesFake) -> SesSettings:
    return ses_fake.settings()


def row(ses: SesSettings) -> SesQuota:
    return SesQuota.objects.get(pk=row_for(ses).pk)


def come_due(ses: SesSettings) -> None:
    """Let it be time to ask SES again."""
    SesQuota.objects.update(read_due_at=timezone.now() - timedelta(seconds=1))


@dataclasses.dataclass
class Moments:
    """When each of several may leave: between these two times, by `time.monotonic()`."""

    earliest: list[float] = dataclasses.field(default_factory=list)
    latest: list[float] = dataclasses.field(default_factory=list)

    def take(self, pace: SesPace, recipients: int = 1) -> None:
        before = time.monotonic()
        wait = pace.take(recipients)
        self.earliest.append(before + wait)
        self.latest.append(time.monotonic() + wait)

    def are_apart(self, seconds: float) -> bool:
        """Whether each may be so long after the one before; never less on a slow machine."""
        pairs = zip(self.earliest, self.latest[1:], strict=False)
        return all(later - earlier > seconds - 0.005 for earlier, later in pairs)


def asked(fake: SesFake) -> int:
    return fake.requests.count("GET /v2/email/account")


def test_recipients_are_spread_over_the_second_whoever_asks(
    ses: SesSettings, ses_fake: SesFake
) -> None:
    ses_fake.limits = Limits(rate=10)
    here, elsewhere = SesPace(ses), SesPace(ses)
    moments = Moments()
    for pace in (here, elsewhere, here, elsewhere):
        moments.take(pace)
    assert moments.are_apart(0.103)
    assert asked(ses_fake) == 1


def test_a_message_to_five_costs_five(ses: SesSettings, ses_fake: SesFake) -> None:
    ses_fake.limits = Limits(rate=10)
    moments = Moments()
    pace = SesPace(ses)
    moments.take(pace, 5)
    moments.take(pace, 1)
    assert moments.are_apart(0.51)
    assert row(ses).taken == 6


def test_a_fast_account_asks_the_database_for_many_at_once(
    ses: SesSettings, ses_fake: SesFake
) -> None:
    ses_fake.limits = Limits(rate=500)
    pace = SesPace(ses)
    moments = Moments()
    for _ in range(10):
        moments.take(pace)
    assert row(ses).version < 10
    assert moments.are_apart(1 / 485)


def test_a_long_wait_is_refused_and_takes_nothing(ses: SesSettings, ses_fake: SesFake) -> None:
    ses_fake.limits = Limits(rate=0.01)
    pace = SesPace(ses)
    pace.take(5)
    with pytest.raises(RateExceeded) as refused:
        pace.take(1)
    assert 400 < refused.value.retry_after < 516
    assert row(ses).taken == 5


def test_what_ses_says_is_kept_and_asked_for_again(ses: SesSettings, ses_fake: SesFake) -> None:
    ses_fake.limits = Limits(rate=100)
    pace = SesPace(ses)
    pace.take(1)
    SesPace(ses).take(1)
    assert asked(ses_fake) == 1
    ses_fake.limits = Limits(rate=40, daily=1000)
    ses_fake.account.in_sandbox = True
    come_due(ses)
    SesPace(ses).take(1)
    found = row(ses)
    assert (found.rate, found.daily, found.is_in_sandbox) == (40, 1000, True)
    assert asked(ses_fake) == 2


def test_a_daily_quota_pauses_all_and_says_until_when(ses: SesSettings, ses_fake: SesFake) -> None:
    ses_fake.limits = Limits(rate=100, daily=10)
    pace = SesPace(ses)
    pace.take(8)
    with pytest.raises(QuotaExceeded) as used_up:
        pace.take(3)
    assert "10 in 24 hours" in used_up.value.message
    assert "Some of it is free at" in used_up.value.message
    assert 0 < used_up.value.retry_after <= 900
    with pytest.raises(QuotaExceeded):
        SesPace(ses).take(1)
    frees_at = row(ses).frees_at
    assert frees_at is not None
    assert timedelta(hours=24) <= frees_at - timezone.now() <= timedelta(hours=24, minutes=15)


def test_a_quota_that_was_raised_is_used_when_it_is_seen(
    ses: SesSettings, ses_fake: SesFake
) -> None:
    ses_fake.limits = Limits(rate=100, daily=10)
    pace = SesPace(ses)
    pace.use_up(Reply(454, "Daily message quota exceeded"))
    with pytest.raises(QuotaExceeded):
        pace.take(1)
    ses_fake.limits = Limits(rate=100, daily=1000)
    come_due(ses)
    pace.take(1)
    assert row(ses).paused_until is None


def test_what_ses_allows_is_asked_when_it_says_that_it_is_used_up_and_when_a_person_wants(
    ses: SesSettings, ses_fake: SesFake
) -> None:
    ses_fake.limits = Limits(rate=100, daily=10)
    pace = SesPace(ses)
    pace.take(1)
    ses_fake.limits = Limits(rate=100, daily=25)
    used_up = pace.use_up(Reply(454, "Daily message quota exceeded"))
    assert "25 in 24 hours" in used_up.message
    ses_fake.limits = Limits(rate=100, daily=1000)
    with pytest.raises(QuotaExceeded):
        pace.take(1)
    SesPace(ses).ask_anew()
    pace.take(1)
    assert (row(ses).daily, row(ses).paused_until) == (1000, None)


def test_throttling_slows_everybody_and_passes(ses: SesSettings, ses_fake: SesFake) -> None:
    ses_fake.limits = Limits(rate=10)
    here, elsewhere = SesPace(ses), SesPace(ses)
    here.take(1)
    here.slow_down()
    elsewhere.slow_down()
    assert 0.7 <= here.part_of_rate() < 1
    moments = Moments()
    moments.take(elsewhere)
    moments.take(elsewhere)
    # It has grown back a little meanwhile.
    assert moments.are_apart(0.11)
    SesQuota.objects.update(slowed_at=timezone.now() - timedelta(minutes=1))
    assert here.part_of_rate() == 1.0


def test_paused_sending_is_told_of(ses: SesSettings, ses_fake: SesFake) -> None:
    ses_fake.account.sending_enabled = False
    with pytest.raises(SendingPaused):
        SesPace(ses).take(1)


def test_keys_that_may_not_ask_send_at_a_moderate_rate(ses: SesSettings, ses_fake: SesFake) -> None:
    ses_fake.answers_to_account.append(Refusal(403, "AccessDeniedException", "Not authorized."))
    pace = SesPace(ses)
    pace.take(1)
    found = row(ses)
    assert (found.rate, found.daily) == (10, -1)
    assert "AccessDeniedException" in found.note


def test_an_unknown_account_that_cannot_be_asked_sends_nothing(
    ses: SesSettings, ses_fake: SesFake
) -> None:
    wrong = ses_fake.settings(keys=AwsKeys(KEYS.access_key_id, "wrong"))
    with pytest.raises(LoginFailed):
        SesPace(wrong).take(1)
    ses_fake.answers_to_account.append(THROTTLED)
    with pytest.raises(RateExceeded):
        SesPace(ses).take(1)
    with SesFake() as gone:
        nowhere = gone.settings()
    with pytest.raises(ConnectionFailed):
        SesPace(nowhere).take(1)


def test_what_is_known_still_holds_while_ses_does_not_answer(
    ses: SesSettings, ses_fake: SesFake
) -> None:
    pace = SesPace(ses)
    pace.take(1)
    ses_fake.answers_to_account.append(Refusal(500, "InternalFailure", "Sorry."))
    come_due(ses)
    pace.take(500)
    assert row(ses).rate == 1000
    assert asked(ses_fake) == 2


def test_one_process_has_one_pace_for_an_account(ses: SesSettings) -> None:
    assert pace_of(ses) is pace_of(dataclasses.replace(ses, tags=(("a", "b"),)))
    assert pace_of(ses) is not pace_of(dataclasses.replace(ses, region="us-east-1"))


@pytest.mark.django_db(transaction=True)
def test_many_at_once_take_no_more_than_there_is(ses: SesSettings, ses_fake: SesFake) -> None:
    ses_fake.limits = Limits(rate=400, daily=60)
    SesPace(ses).take(1)
    taken, refused = [], []

    def draw() -> None:
        try:
            pace = SesPace(ses)
            for _ in range(30):
                try:
                    taken.append(pace.take(1))
                except QuotaExceeded as error:
                    refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # What was reserved by one and not used by it is lost to the others, and no more than that.
    assert 59 - 4 * 8 <= len(taken) <= 59
    assert refused
    assert row(ses).taken <= 60

"""Workers that are gone: what their journals prove is what becomes of the rows they held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from campaigns.audience import fix_audience
from campaigns.engine.claims import claim, release
from campaigns.engine.journal import Journal, journal_folder, read_journal
from campaigns.engine.outcomes import Finished, record
from campaigns.engine.processes import Life, life_of, this_process
from campaigns.engine.settling import settle_lost_shifts
from campaigns.engine.shifts import Lease, ask_again, take_shift
from campaigns.models import Campaign, Delivery, DeliveryState, SendShift
from campaigns.tasks import remove_orphaned_journals
from contacts.models import Contact
from tests.campaigns.conftest import Campaigns, states
from tests.servers.processes import wait_until


def process_that_is_gone() -> str:
    """The name of a process that has ended."""
    code = "from campaigns.engine.processes import this_process; print(this_process())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def begin(campaigns: Campaigns, count: int = 4) -> tuple[Campaign, SendShift, list[int]]:
    """A campaign of which a worker has claimed every row: one sent, one begun, the rest not."""
    campaigns.add_contacts(count)
    campaign = campaigns.create()
    assert fix_audience(campaign)
    shift = take_shift(SendShift.objects.get().pk)
    assert shift is not None
    keys = [each.pk for each in claim(shift, count)]
    with Journal(shift.journal) as journal:
        journal.started(keys[0], 1)
        journal.ended(Finished(keys[0], 1, DeliveryState.SENT, "250 OK", "<1@x>"))
        journal.started(keys[1], 1)
    return campaign, shift, keys


def test_a_killed_worker_s_rows_get_what_its_journal_proves(campaigns: Campaigns) -> None:
    campaign, shift, keys = begin(campaigns)
    SendShift.objects.update(process=process_that_is_gone())
    settle_lost_shifts()
    rows = dict(Delivery.objects.values_list("pk", "state"))
    assert [rows[key] for key in keys] == ["sent", "uncertain", "queued", "queued"]
    assert Contact.objects.filter(email_count=1, last_campaign=campaign.campaign_id).count() == 1
    assert not SendShift.objects.filter(pk=shift.pk).exists()
    assert read_journal(shift.journal) is None
    campaign = campaigns.finish(campaign)
    assert states(campaign) == {"sent": 3, "uncertain": 1}
    assert len(campaigns.server.messages) == 2


def test_a_worker_that_lives_and_is_heard_of_keeps_its_rows(campaigns: Campaigns) -> None:
    campaign, _, _ = begin(campaigns)
    settle_lost_shifts()
    assert states(campaign) == {"sending": 4}


def test_a_worker_that_lives_and_fell_silent_loses_its_rows(
    campaigns: Campaigns, settings: Settings
) -> None:
    campaign, _, _ = begin(campaigns)
    silent_since = timezone.now() - timedelta(seconds=settings.MAILHUB_LEASE_SECONDS + 1)
    SendShift.objects.update(renewed_at=silent_since)
    settle_lost_shifts()
    assert states(campaign) == {"sent": 1, "uncertain": 1, "queued": 2}


@pytest.mark.parametrize(
    "name", ["other boot", "no journal"], ids=["the machine restarted", "the journal is lost"]
)
def test_what_a_journal_cannot_prove_is_uncertain(campaigns: Campaigns, name: str) -> None:
    campaign, shift, _ = begin(campaigns)
    machine, boot, pid, started = json.loads(process_that_is_gone())
    sent = 1
    if name == "other boot":
        boot = "another"
    else:
        sent = 0
        for path in journal_folder().glob(f"{shift.journal}.*"):
            path.unlink()
    SendShift.objects.update(process=json.dumps([machine, boot, pid, started]))
    settle_lost_shifts()
    expected = {"uncertain": 4 - sent} | ({"sent": sent} if sent else {})
    assert states(campaign) == expected


def test_a_worker_on_another_machine_is_given_time_to_come_back(
    campaigns: Campaigns, settings: Settings
) -> None:
    campaign, _, _ = begin(campaigns)
    SendShift.objects.update(
        process=json.dumps(["elsewhere", "another", 1, "1"]),
        renewed_at=timezone.now() - timedelta(seconds=settings.MAILHUB_LEASE_SECONDS + 1),
    )
    settle_lost_shifts()
    assert states(campaign) == {"sending": 4}
    SendShift.objects.update(
        renewed_at=timezone.now() - timedelta(seconds=settings.MAILHUB_LOST_MACHINE_SECONDS + 1)
    )
    settle_lost_shifts()
    assert states(campaign) == {"sent": 1, "uncertain": 3}


def test_the_outcome_of_an_earlier_attempt_does_not_count(campaigns: Campaigns) -> None:
    campaign, _, keys = begin(campaigns, 2)
    Delivery.objects.filter(pk=keys[0]).update(attempts=1)
    SendShift.objects.update(process=process_that_is_gone())
    settle_lost_shifts()
    assert states(campaign) == {"queued": 1, "uncertain": 1}


def test_a_worker_whose_shift_was_settled_notices(campaigns: Campaigns, settings: Settings) -> None:
    settings.MAILHUB_LEASE_SECONDS = 0.2
    _, shift, _ = begin(campaigns)
    with Lease(shift) as lease:
        assert lease.is_held
        Delivery.objects.update(shift=None, state=DeliveryState.QUEUED)
        SendShift.objects.filter(pk=shift.pk).delete()
        wait_until(lambda: not lease.is_held, "the lease is lost")


def test_a_worker_whose_shift_was_settled_claims_nothing(campaigns: Campaigns) -> None:
    campaign, shift, _ = begin(campaigns)
    SendShift.objects.update(process=process_that_is_gone())
    settle_lost_shifts()
    assert states(campaign) == {"sent": 1, "uncertain": 1, "queued": 2}
    assert claim(shift, 4) == []
    assert states(campaign) == {"sent": 1, "uncertain": 1, "queued": 2}


def test_a_claim_begins_where_the_last_one_ended_and_forgets_nobody(campaigns: Campaigns) -> None:
    campaigns.add_contacts(5)
    campaign = campaigns.create()
    assert fix_audience(campaign)
    shift = take_shift(SendShift.objects.get().pk)
    assert shift is not None
    first = [each.pk for each in claim(shift, 2)]
    release(shift, first[:1])
    then = [each.pk for each in claim(shift, 2, after=first[-1])]
    assert min(then) > max(first)
    assert [each.pk for each in claim(shift, 5, after=then[-1])] == [max(then) + 1, first[0]]
    assert states(campaign) == {"sending": 5}
    assert claim(shift, 5) == []


def test_a_deferred_one_that_is_put_back_is_due_as_before(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    campaign = campaigns.create()
    assert fix_audience(campaign)
    Delivery.objects.update(state="deferred", attempts=1, next_attempt_at=timezone.now())
    shift = take_shift(SendShift.objects.get().pk)
    assert shift is not None
    (first,) = claim(shift, 5)
    assert first.attempt == 2
    assert states(campaign) == {"sending": 1}
    release(shift, [first.pk])
    assert states(campaign) == {"deferred": 1}
    assert claim(shift, 5) == [first]
    done = Finished(first.pk, 2, DeliveryState.SENT, "250 OK", "<2@x>")
    record(shift, [done])
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.next_attempt_at, row.shift) == ("sent", 2, None, None)


def test_a_turn_that_the_queue_lost_is_asked_for_again(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    campaigns.create()
    long_ago = timezone.now() - timedelta(minutes=1)
    SendShift.objects.update(asked_at=long_ago)
    ask_again()
    shift = SendShift.objects.get()
    assert shift.asked_at > long_ago
    assert take_shift(shift.pk) is not None
    assert take_shift(shift.pk) is None


def test_the_journals_of_shifts_that_were_deleted_are_removed_after_a_day(
    campaigns: Campaigns,
) -> None:
    campaign, shift, _ = begin(campaigns)
    other = "999-1"
    with Journal(other) as journal:
        journal.started(1, 1)
    yesterday = timezone.now().timestamp() - timedelta(hours=25).total_seconds()
    remove_orphaned_journals()
    assert read_journal(other) is not None
    for path in journal_folder().iterdir():
        os.utime(path, (yesterday, yesterday))
    remove_orphaned_journals()
    assert read_journal(other) is None
    assert read_journal(shift.journal) is not None
    campaign.deliveries.all().delete()
    campaign.delete()
    remove_orphaned_journals()
    assert read_journal(shift.journal) is None


def test_a_process_is_known_by_more_than_its_number() -> None:
    machine, boot, pid, started = json.loads(this_process())
    assert pid == os.getpid()
    assert life_of(this_process()) is Life.LIVES
    assert life_of(json.dumps([machine, boot, pid, f"{started}0"])) is Life.GONE
    assert life_of(json.dumps([machine, f"{boot}0", pid, started])) is Life.REBOOTED
    assert life_of(json.dumps([f"{machine}0", boot, pid, started])) is Life.HIDDEN
    assert life_of(json.dumps([f"{machine}0", f"{boot}0", pid, started])) is Life.ELSEWHERE
    assert life_of(process_that_is_gone()) is Life.GONE

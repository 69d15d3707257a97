"""Who carries an import on, when, and from where; real kills included."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_q.brokers import get_broker

from contacts.csv_import import BATCH, carry_on, start_import
from contacts.models import Contact, ImportChunk, ImportJob, ImportRowError
from contacts.models.import_job import LEASE, MOST_STALLS, UPLOAD_ABANDONED_AFTER, LeaseLost
from contacts.tasks import revive_imports, run_import
from tests.contacts.imports import named_file
from tests.people import People, Person
from tests.servers.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]


def many(count: int, *, every_bad: int = 0, step: int = 1) -> str:
    """A file of so many rows; every so many-th has no address."""
    numbers = range(count)[::step]
    rows = (
        "nobody,x\n"
        if every_bad and number % every_bad == 0
        else f"c{number}@example.com,N{number}\n"
        for number in numbers
    )
    return "email,first_name\n" + "".join(rows)


def start(person: Person, content: str) -> ImportJob:
    return start_import(person.caller, named_file(content))


def expire(job: ImportJob) -> None:
    """Let its lease, and its time in the queue, run out."""
    past = timezone.now() - LEASE
    ImportJob.objects.filter(pk=job.pk).exclude(lease_until=None).update(lease_until=past)
    ImportJob.objects.filter(pk=job.pk).update(queued_until=past)


def queued() -> int:
    size: int = get_broker().queue_size()
    return size


def test_one_runner_at_a_time(people: People) -> None:
    job = start(people.member, many(3))
    assert job.claim()
    other = ImportJob.objects.get(pk=job.pk)
    assert not other.claim()
    run_import(job.pk)
    assert not Contact.objects.exists()
    expire(job)
    assert other.claim()
    with pytest.raises(LeaseLost):
        carry_on(job, seconds=60)
    assert not Contact.objects.exists()
    assert carry_on(other, seconds=60)
    assert Contact.objects.count() == 3


def test_a_runner_that_lost_its_lease_in_the_middle_writes_nothing_more(people: People) -> None:
    job = start(people.member, many(2 * BATCH, every_bad=BATCH // 5))
    assert job.claim()
    assert not carry_on(job, seconds=0)
    assert job.release()
    other = ImportJob.objects.get(pk=job.pk)
    assert other.claim()
    with pytest.raises(LeaseLost):
        carry_on(job, seconds=60)
    assert Contact.objects.count() + ImportRowError.objects.count() == BATCH
    assert carry_on(other, seconds=60)
    other.refresh_from_db()
    assert (other.total, other.imported, other.failed) == (2 * BATCH, 2 * BATCH - 10, 10)
    lines = list(ImportRowError.objects.order_by("pk").values_list("line", flat=True))
    assert lines == list(range(2, 2 * BATCH + 2, BATCH // 5))


def test_a_long_import_is_left_to_a_successor(people: People) -> None:
    job = start(people.member, many(3 * BATCH + 1))
    for part in range(1, 4):
        assert job.claim()
        assert not carry_on(job, seconds=0)
        assert job.done == part * BATCH
        assert job.release()
    run_import(job.pk)
    job.refresh_from_db()
    assert (job.status, job.imported) == ("completed", 3 * BATCH + 1)
    assert job.stalls == 0


def test_an_import_that_never_gets_further_is_failed(people: People) -> None:
    job = start(people.member, many(3))
    for _ in range(MOST_STALLS):
        assert job.claim()
        expire(job)
    assert not job.claim()
    job.refresh_from_db()
    assert job.status == "failed"
    assert "stopped several times" in job.error
    revive_imports()
    assert not ImportChunk.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_nobody_attends_to_is_queued_again(people: People) -> None:
    before = queued()
    job = start(people.member, many(3))
    assert queued() == before + 1
    assert revive_imports() == 0
    expire(job)
    assert revive_imports() == 1
    assert revive_imports() == 0
    assert queued() == before + 2
    assert job.claim()
    expire(job)
    assert revive_imports() == 1


def test_an_upload_that_never_ended_is_forgotten(people: People) -> None:
    job = ImportJob.objects.create(tenant=people.tenant)
    ImportChunk.objects.create(job=job, offset=0, content=b"")
    revive_imports()
    assert ImportChunk.objects.exists()
    ImportJob.objects.update(created_at=timezone.now() - UPLOAD_ABANDONED_AFTER - timedelta(1))
    revive_imports()
    assert not ImportChunk.objects.exists()
    assert people.member.api.get("/api/contacts/imports").json()["imports"] == []


def database_url() -> str:
    """The test database, for another process."""
    known: dict[str, Any] = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{known['NAME']}"
    return f"postgres://{known['USER']}@{known['HOST']}:{known['PORT']}/{known['NAME']}"


@pytest.mark.django_db(transaction=True)
def test_a_killed_import_goes_on_from_its_last_committed_row(people: People) -> None:
    total, bad = 8_000, 16
    job = start(people.member, many(total, every_bad=500))
    code = (
        "import django; django.setup(); from contacts.tasks import run_import; "
        f"run_import({job.pk})"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "mailhub.settings",
        },
    )
    try:
        wait_until(lambda: ImportJob.objects.get(pk=job.pk).done > BATCH, "rows are imported")
    finally:
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    job.refresh_from_db()
    assert job.status == "in_progress"
    assert 0 < job.done < total
    assert Contact.objects.count() == job.imported
    assert ImportRowError.objects.count() == job.failed

    run_import(job.pk)
    assert Contact.objects.count() == job.imported
    expire(job)
    run_import(job.pk)
    job.refresh_from_db()
    assert job.status == "completed"
    assert (job.total, job.imported, job.updated, job.failed) == (total, total - bad, 0, bad)
    assert Contact.objects.count() == total - bad
    lines = ImportRowError.objects.order_by("pk").values_list("line", flat=True)
    assert list(lines) == list(range(2, total + 2, 500))


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_the_same_people_at_once(people: People) -> None:
    count = 4 * BATCH
    jobs = [start(people.member, many(count, step=step)) for step in (1, -1)]

    def run(job: ImportJob) -> None:
        try:
            run_import(job.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, jobs))
    for job in jobs:
        job.refresh_from_db()
    assert [job.status for job in jobs] == ["completed", "completed"]
    assert [job.failed for job in jobs] == [0, 0]
    assert sum(job.imported for job in jobs) == Contact.objects.count() == count
    assert sum(job.updated for job in jobs) == count

"""Work of contacts that runs in the background; the dispatcher revives what was left."""

from __future__ import annotations

from contacts.csv_import import carry_on, queue_import
from contacts.models import ImportJob
from contacts.models.import_job import LeaseLost
from contacts.uploads import drop_file
from mailhub.logs import get_logger

log = get_logger(__name__)

_SECONDS_A_TASK = 45.0


def run_import(job_id: int) -> None:
    """Import for a while, then leave the rest to a successor; nothing where another runs."""
    job = ImportJob.objects.filter(pk=job_id).first()
    if job is None or not job.claim():
        return
    try:
        finished = carry_on(job, seconds=_SECONDS_A_TASK)
    except LeaseLost:
        log.info("import left to another", job=job_id)
        return
    if not finished and job.release():
        queue_import(job)


def revive_imports() -> int:
    """Queue the imports that nobody attends to, and drop files that are done with.

    Cheap, and harmless on several machines at once; how many were queued.
    """
    revived = sum(queue_import(job) for job in ImportJob.objects.unattended()[:100])
    for job in ImportJob.objects.disposable_files()[:1]:
        drop_file(job)
    return revived

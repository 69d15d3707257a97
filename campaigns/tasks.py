"""What the queue and the dispatcher call: each loads, and calls one function."""

from __future__ import annotations

from campaigns.engine.journal import remove_orphans
from campaigns.engine.settling import settle_lost_shifts
from campaigns.engine.shifts import ask_again, take_shift, top_up_shifts
from campaigns.engine.work import work_shift as work
from campaigns.files import remove_unused_files
from campaigns.lifecycle import (
    complete_if_done,
    resume_freed,
    start_scheduled,
    waiting_for_workers,
)
from campaigns.subject_testing import decide_subjects


def work_shift(pk: int) -> None:
    """Work this shift, unless another worker has."""
    settle_lost_shifts()
    shift = take_shift(pk)
    if shift is not None:
        work(shift)


def remove_orphaned_journals() -> None:
    """Once an hour: delete the journals of shifts that were deleted."""
    remove_orphans()


def drop_unused_files() -> None:
    """Once an hour: delete the files that no campaign and no template names any more."""
    remove_unused_files()


def revive_campaigns() -> None:
    """Once a second: start what is due, and find the work that crashed workers left behind."""
    settle_lost_shifts()
    start_scheduled()
    resume_freed()
    decide_subjects()
    ask_again()
    for campaign in waiting_for_workers():
        if not complete_if_done(campaign):
            top_up_shifts(campaign)

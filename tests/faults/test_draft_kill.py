"""A short round of `draft_kill`; `make faults` runs the long one."""

from __future__ import annotations

import random

from tests.faults.draft_kill import SETTINGS, run_round
from tests.servers.dovecot import DovecotUser
from tests.servers.site import RunningSite, SiteTemplate


def test_each_draft_is_there_once_whatever_is_killed(
    site_template: SiteTemplate, dovecot_user: DovecotUser
) -> None:
    seed = random.randrange(1 << 30)
    site = RunningSite(site_template, only=("web", "dispatcher"), settings=SETTINGS)
    try:
        result = run_round(site, dovecot_user, drafts=6, kills=1, dice=random.Random(seed))
        result.check()
    except BaseException as error:
        error.add_note(f"seed {seed}\n{site.said()[-4000:]}")
        raise
    finally:
        site.remove()

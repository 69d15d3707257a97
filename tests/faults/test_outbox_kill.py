"""A short round of `outbox_kill`; `make faults` runs the long one."""

from __future__ import annotations

import random

from tests.faults.outbox_kill import run_round, settings_for
from tests.servers.site import RunningSite, SiteTemplate
from tests.servers.smtp import SmtpReceiver


def test_each_request_is_one_message_whatever_is_killed(
    site_template: SiteTemplate, smtp_receiver: SmtpReceiver
) -> None:
    seed = random.randrange(1 << 30)
    site = RunningSite(
        site_template, only=("web", "dispatcher"), settings=settings_for(smtp_receiver)
    )
    try:
        result = run_round(site, smtp_receiver, messages=60, kills=1, dice=random.Random(seed))
        result.check()
    except BaseException as error:
        error.add_note(f"seed {seed}\n{site.said()[-4000:]}")
        raise
    finally:
        site.remove()

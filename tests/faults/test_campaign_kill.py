"""A short round of `campaign_kill`; `make faults` runs the long ones."""

from __future__ import annotations

import random

from tests.faults.campaign_kill import WORKERS, run_round
from tests.servers.site import RunningSite, SiteTemplate
from tests.servers.smtp import SmtpReceiver

RECIPIENTS = 1_000


def test_a_campaign_survives_the_death_of_every_process(
    site_template: SiteTemplate, smtp_receiver: SmtpReceiver
) -> None:
    seed = random.randrange(1 << 30)
    site = RunningSite(site_template, only=("web", "workers", "dispatcher"), workers=WORKERS)
    try:
        result = run_round(
            site, smtp_receiver, recipients=RECIPIENTS, kills=2, dice=random.Random(seed)
        )
        result.check()
    except BaseException as error:
        error.add_note(f"seed {seed}\n{site.said()[-4000:]}")
        raise
    finally:
        site.remove()

"""Short rounds of `campaign_kill`; `make faults` runs the long ones."""

from __future__ import annotations

import random

from tests.faults.campaign_kill import Way, run_round, running_site
from tests.servers.ses import SesFake
from tests.servers.site import SiteTemplate
from tests.servers.smtp import SmtpReceiver

RECIPIENTS = 1_000


def test_a_campaign_survives_the_death_of_every_process(
    site_template: SiteTemplate, smtp_receiver: SmtpReceiver
) -> None:
    kill_everything(site_template, Way.by_smtp(smtp_receiver))


def test_a_campaign_over_ses_survives_it_as_well(
    site_template: SiteTemplate, ses_fake: SesFake
) -> None:
    kill_everything(site_template, Way.by_ses(ses_fake))


def kill_everything(template: SiteTemplate, way: Way) -> None:
    """Twice, at moments that chance has chosen."""
    seed = random.randrange(1 << 30)
    site = running_site(template, way)
    try:
        result = run_round(site, way, recipients=RECIPIENTS, kills=2, dice=random.Random(seed))
        result.check()
    except BaseException as error:
        error.add_note(f"seed {seed}\n{site.said()[-4000:]}")
        raise
    finally:
        site.remove()

"""The composer's form: what a draft shows in it, and what a person changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.http import QueryDict

from accounts.caller import Caller
from accounts.models import EmailAccount
from campaigns.audience import EMAILS, EVERYONE, LISTS, SEGMENTS, Recipients
from campaigns.drafting import Changes, copy_share
from campaigns.models import Campaign, CampaignSender, Measure, SenderShare, SubjectTest
from campaigns.models.sender_share import MOST_WEIGHT
from campaigns.models.subject_test import LONGEST_WAIT_MINUTES
from campaigns.scheduling import find_zone, moment_in, on_the_clock
from campaigns.subject_testing import subject_test_of
from contacts.addresses import InvalidAddress, normalise_email
from mailhub.errors import InvalidInput
from mailhub.mail.addresses import parse_address
from mailhub.mail.errors import InvalidMessage
from mailhub.numbers import whole_number

INVALID = "invalid"
_BETWEEN = re.compile(r"[\s,;]+")
_TEXTS = ("name", "from_email", "reply_to", "subject", "html_body", "text_body")
_RATES = ("rate_per_second", "rate_per_hour", "rate_per_day")
_TEST = ("subject_b", "test_percent", "test_hours", "test_measure")
_MOST_ADDRESSES, _MOST_RATE = 100_000, 10_000_000
_SHOWN_ADDRESSES = 5_000
_CLOCK = "%Y-%m-%dT%H:%M"


@dataclass
class ComposerForm:
    """What stands in the fields; `weights` are shares by account, "" where it sends nothing."""

    texts: dict[str, str]
    sender: str
    everyone: bool
    lists: set[str]
    segments: set[str]
    emails: str
    rates: dict[str, str]
    failure_limit: str
    timezone: str
    scheduled_at: str
    tracks_opens: bool = False
    tracks_clicks: bool = False
    test: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, campaign: Campaign) -> ComposerForm:
        """As the draft stands."""
        rule = campaign.audience.rule
        emails = [*rule.get(EMAILS, ()), *rule.get(INVALID, ())]
        moment = campaign.scheduled_at
        shares = list(campaign.senders.all())
        sender = f"account:{campaign.account_id}" if campaign.account_id else campaign.sender
        return cls(
            texts={name: getattr(campaign, name) for name in _TEXTS},
            sender="several" if shares else sender,
            everyone=bool(rule.get(EVERYONE)),
            lists={str(key) for key in rule.get(LISTS, ())},
            segments={str(each) for each in rule.get(SEGMENTS, ()) if isinstance(each, int)},
            emails="\n".join(emails[:_SHOWN_ADDRESSES]),
            rates={name: str(getattr(campaign, name) or "") for name in _RATES},
            failure_limit=str(campaign.failure_limit or ""),
            timezone=campaign.timezone,
            scheduled_at=on_the_clock(campaign.timezone, moment).strftime(_CLOCK) if moment else "",
            tracks_opens=campaign.tracks_opens,
            tracks_clicks=campaign.tracks_clicks,
            test=_test_of(campaign),
            weights={str(share.account_id): str(share.weight) for share in shares},
        )

    @classmethod
    def posted(cls, given: QueryDict) -> ComposerForm:
        """As a person left the form."""
        return cls(
            texts={name: given.get(name, "").replace("\r\n", "\n") for name in _TEXTS},
            sender=given.get("sender", ""),
            everyone="everyone" in given,
            lists=set(given.getlist("list")),
            segments=set(given.getlist("segment")),
            emails=given.get("emails", ""),
            rates={name: given.get(name, "").strip() for name in _RATES},
            failure_limit=given.get("failure_limit", "").strip(),
            timezone=given.get("timezone", "UTC").strip() or "UTC",
            scheduled_at=given.get("scheduled_at", "").strip(),
            tracks_opens="tracks_opens" in given,
            tracks_clicks="tracks_clicks" in given,
            test={name: given.get(name, "").strip() for name in _TEST},
            weights=_weights(given),
        )

    def changes(self, caller: Caller, campaign: Campaign) -> tuple[Changes, list[str]]:
        """What is to be stored, and the addresses that are none. Raises InvalidInput."""
        rule = campaign.audience.rule
        emails, invalid = self._addresses(rule)
        rules = [each for each in rule.get(SEGMENTS, ()) if not isinstance(each, int)]
        recipients = Recipients(
            lists=tuple(sorted(_keys("lists", self.lists))),
            segments=(*sorted(_keys("segments", self.segments)), *rules),
            emails=emails,
        )
        fields: dict[str, Any] = {name: self.texts[name].strip() for name in _TEXTS[:4]}
        fields |= {"html_body": self.texts["html_body"], "text_body": self.texts["text_body"]}
        fields |= {"tracks_opens": self.tracks_opens, "tracks_clicks": self.tracks_clicks}
        for name in ("from_email", "reply_to"):
            _check_address(name, fields[name])
        fields |= {name: _number(name, self.rates[name], _MOST_RATE) for name in _RATES}
        fields["failure_limit"] = _number("failure_limit", self.failure_limit, 100)
        zone = find_zone(self.timezone)
        fields["timezone"] = zone.key
        moment = _moment(self.scheduled_at)
        fields["scheduled_at"] = None if moment is None else moment_in(zone, moment)
        account, by_default, senders = self._sender(caller, campaign)
        changes = Changes(
            fields=fields,
            audience=recipients,
            everyone=self.everyone,
            account=account,
            by_default=by_default,
            senders=senders,
            subject_test=self._subject_test(),
            without_test=True,
        )
        return changes, invalid

    def _subject_test(self) -> SubjectTest | None:
        if not self.test["subject_b"]:
            return None
        percent = _number("test_percent", self.test["test_percent"], 100) or 20
        hours = _number("test_hours", self.test["test_hours"], LONGEST_WAIT_MINUTES // 60) or 4
        chosen = self.test["test_measure"]
        measure = chosen if chosen in Measure.values else Measure.OPENS
        return SubjectTest(
            subject_b=self.test["subject_b"][:1000],
            percent=max(2, percent),
            wait_minutes=hours * 60,
            measure=measure,
        )

    def _addresses(self, rule: Mapping[str, Any]) -> tuple[tuple[str, ...], list[str]]:
        good: dict[str, None] = {}
        invalid: dict[str, None] = {}
        for words in filter(None, _BETWEEN.split(self.emails)):
            try:
                good[normalise_email(words)] = None
            except InvalidAddress:
                invalid[words[:320]] = None
        # What is too much to be shown in the form stays as it is.
        rest = rule.get(EMAILS, [])[_SHOWN_ADDRESSES:]
        good |= dict.fromkeys(rest)
        if len(good) + len(invalid) > _MOST_ADDRESSES:
            raise InvalidInput.field("emails", f"Give at most {_MOST_ADDRESSES:,} addresses.")
        return tuple(good), list(invalid)

    def _sender(
        self, caller: Caller, campaign: Campaign
    ) -> tuple[EmailAccount | None, bool, list[SenderShare] | None]:
        accounts = {str(each.pk): each for each in sendable_accounts(caller)}
        if self.sender == "several":
            shares = [
                SenderShare(account=accounts[key], weight=weight)
                for key, words in self.weights.items()
                if key in accounts and (weight := _number("weight", words, MOST_WEIGHT))
            ]
            foreign = campaign.senders.exclude(account__in=list(accounts.values()))
            shares += [copy_share(share) for share in foreign]
            if not shares:
                raise InvalidInput.field("sender", "Give at least one account a share.")
            return None, False, shares
        kind, _, key = self.sender.partition(":")
        if kind == "account" and key in accounts:
            return accounts[key], False, []
        if kind == CampaignSender.DEFAULT:
            return None, True, []
        return None, False, [] if kind in (CampaignSender.SERVER, "account") else None


def sendable_accounts(caller: Caller) -> list[EmailAccount]:
    """The accounts by which this person may send."""
    accounts = EmailAccount.objects.sendable_by(caller).filter(is_enabled=True)
    return list(accounts.order_by("account_name", "pk"))


def sender_choices(
    form: ComposerForm, campaign: Campaign, accounts: list[EmailAccount]
) -> list[tuple[str, str]]:
    """What the form offers to send by: values and words, the present one among them."""
    choices = [(CampaignSender.DEFAULT.value, "The default sender")]
    choices += [
        (f"account:{each.pk}", f"{each.account_name} · {each.email_address}") for each in accounts
    ]
    if len(accounts) > 1 or form.sender == "several":
        choices.append(("several", "Several accounts, by the shares below"))
    if campaign.sender == CampaignSender.SERVER:
        choices.append((CampaignSender.SERVER.value, campaign.smtp_host))
    if campaign.account and f"account:{campaign.account_id}" not in dict(choices):
        choices.append((f"account:{campaign.account_id}", str(campaign.account)))
    return choices


def _test_of(campaign: Campaign) -> dict[str, str]:
    test = subject_test_of(campaign) or SubjectTest()
    hours = max(1, test.wait_minutes // 60)
    values = (test.subject_b, str(test.percent), str(hours), str(test.measure))
    return dict(zip(_TEST, values, strict=True))


def _weights(given: QueryDict) -> dict[str, str]:
    return {
        name.removeprefix("weight:"): given.get(name, "").strip()
        for name in given
        if name.startswith("weight:")
    }


def _keys(name: str, words: set[str]) -> set[int]:
    found = {key for key in map(whole_number, words) if key is not None}
    if len(found) < len(words):
        raise InvalidInput.field(name, "There is no such list or segment.")
    return found


def _number(name: str, words: str, most: int) -> int | None:
    if not words or words == "0":
        return None
    number = whole_number(words)
    if number is None or number > most:
        words = f"{name.replace('_', ' ').capitalize()}: give a whole number up to {most:,}."
        raise InvalidInput.field(name, words)
    return number


def _moment(words: str) -> datetime | None:
    if not words:
        return None
    try:
        return datetime.fromisoformat(words).replace(tzinfo=None)
    except ValueError as error:
        raise InvalidInput.field("scheduled_at", "Give a day and a time.") from error


def _check_address(name: str, words: str) -> None:
    try:
        if words:
            parse_address(words)
    except InvalidMessage as error:
        raise InvalidInput.field(name, error.message) from error

"""Each file in tests/corpus/reports is a report, or mail that must not be taken for one.

The expectation beside it is `null`, or names what must be read. Hard bounces that are none
cost subscribers: they are counted apart.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mailhub.mail.bounce import (
    BounceReport,
    ReportKind,
    Verdict,
    may_be_report,
    read_report,
)

CORPUS = Path(__file__).parent.parent / "corpus" / "reports"
REPORTS = sorted(CORPUS.glob("*.eml"))


def expected_of(path: Path) -> Any:
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def hard(report: BounceReport | None) -> set[str]:
    """The addresses that are written to no more."""
    found = report.recipients if report else ()
    return {each.address for each in found if each.verdict is Verdict.HARD}


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_reads_what_is_expected(path: Path) -> None:
    expected, report = expected_of(path), read_report(path.read_bytes())
    if expected is None:
        assert report is None
        return
    assert report is not None
    assert may_be_report(path.read_bytes())
    assert report.kind == expected["kind"]
    assert [
        {name: getattr(each, name) for name in told}
        for each, told in zip(report.recipients, expected["recipients"], strict=True)
    ] == expected["recipients"]
    for name, value in expected.get("returned", {}).items():
        returned = report.returned
        assert (returned.header(name) if "-" in name else getattr(returned, name)) in (
            value,
            tuple(value),
        )
    assert expected.get("sent_to", report.sent_to[0]) in report.sent_to
    assert expected.get("reporter", report.reporter) == report.reporter


def test_no_hard_bounce_is_read_where_there_is_none() -> None:
    false = {}
    for path in REPORTS:
        told = (expected_of(path) or {"recipients": []})["recipients"]
        true = {each["address"] for each in told if each["verdict"] == "hard"}
        if wrong := hard(read_report(path.read_bytes())) - true:
            false[path.stem] = wrong
    assert false == {}


def test_the_corpus_holds_every_verdict_and_kind() -> None:
    told = [report for path in REPORTS if (report := expected_of(path))]
    verdicts = {each["verdict"] for report in told for each in report["recipients"]}
    assert verdicts == set(Verdict)
    assert {report["kind"] for report in told} == set(ReportKind)
    servers = {path.stem.partition("-")[0] for path in REPORTS}
    assert servers >= {
        *("postfix", "sendmail", "exim", "qmail", "james", "courier", "opensmtpd", "dragonfly"),
        *("exchange", "microsoft", "outlook", "gmail", "yahoo", "icloud", "amazon", "zimbra"),
        *("dovecot", "mdaemon", "domino"),
    }
    assert sum(expected_of(path) is None for path in REPORTS) >= 15
    assert {path.stem for path in REPORTS} == {path.stem for path in CORPUS.glob("*.json")}

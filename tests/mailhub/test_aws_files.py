"""The files for AWS say the same, and say what the code asks for."""

from __future__ import annotations

import json
from typing import Any

import yaml
from django.conf import settings

FOLDER = settings.BASE_DIR / "docs" / "aws"


class _Template(yaml.SafeLoader):
    """CloudFormation's own tags are read as what they stand before."""


def _untagged(loader: _Template, _tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


_Template.add_multi_constructor("!", _untagged)


def allowed(statements: list[Any]) -> dict[str, set[str]]:
    """By its name, what each statement allows."""
    found: dict[str, set[str]] = {}
    for statement in statements:
        if isinstance(statement, list):
            # !If: the condition, what holds under it, and what holds else.
            found |= allowed(statement[1:])
        if isinstance(statement, dict):
            actions = statement["Action"]
            found[statement["Sid"]] = {actions} if isinstance(actions, str) else set(actions)
    return found


def test_the_policy_by_hand_is_that_of_the_template() -> None:
    template = yaml.load((FOLDER / "ses.yaml").read_text(), _Template)
    sending = template["Resources"]["Sending"]["Properties"]["PolicyDocument"]["Statement"]
    by_hand = json.loads((FOLDER / "policy.json").read_text())
    assert allowed(sending) == allowed(by_hand["Statement"])
    asked = {action for actions in allowed(sending).values() for action in actions}
    assert {"ses:SendEmail", "ses:GetAccount", "sqs:SendMessage"} <= asked
    assert {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} <= asked

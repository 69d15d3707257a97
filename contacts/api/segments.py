"""`segments`: people described by a rule, and a look at whom a rule means."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from contacts.models import Contact, ContactStatus, MemberState, Segment
from contacts.segments.activity import activity_kinds
from contacts.segments.fields import FIELDS, OPERATORS, Kind
from contacts.segments.keeping import (
    SAMPLE,
    change_segment,
    check_rule,
    make_segment,
    preview,
)
from contacts.segments.language import DEEPEST, MOST_CONDITIONS
from mailhub.api.strict import StrictMixin

LARGEST_SAMPLE = 100


def _describe_rule() -> str:
    """The language of `contacts.segments.language`, for whoever writes a rule."""
    names: dict[Kind, list[str]] = {kind: [] for kind in Kind}
    for name, kind in FIELDS.items():
        names[kind].append(f"`{name}`")
    names[Kind.ATTRIBUTE].append("`attributes.<key>`")
    fields = [
        f"- {', '.join(names[kind])}: {', '.join(f'`{each}`' for each in OPERATORS[kind])}"
        for kind in Kind
    ]
    return "\n".join(
        (
            'A rule is `{"all": [rule, …]}`, `{"any": [rule, …]}`, `{"not": rule}`, or one '
            f"condition; at most {DEEPEST} deep and of {MOST_CONDITIONS} conditions. A condition "
            "is one of three.",
            "",
            '`{"field": name, "op": operator, "value": value}`. The fields and their operators:',
            "",
            *fields,
            "",
            "Texts are compared without regard to case. `is_one_of` takes a list of texts, "
            "`before` and `after` a date as 2026-03-01, `within_days` and `not_within_days` a "
            "number of days until now; `is_set` and `is_not_set` take no value. `status` is one of "
            f"{', '.join(f'`{each}`' for each in ContactStatus.values)}.",
            "",
            '`{"list": id, "state": state}`: who is on a list. `state` is one of '
            f"{', '.join(f'`{each}`' for each in MemberState.values)}; left out, `subscribed`.",
            "",
            '`{"activity": name, "campaign": id, "within_days": n, "at_least": n}`: to whom that '
            "happened, by that campaign, in the last days, so often at least. All but the name may "
            "be left out; then by any, ever, once. The activities: "
            f"{', '.join(f'`{each}`' for each in activity_kinds())}.",
        )
    )


_RULE_EXAMPLE = {
    "all": [
        {"field": "attributes.city", "op": "is_one_of", "value": ["Bern", "Basel"]},
        {"not": {"list": 3, "state": "unsubscribed"}},
        {"activity": "opened", "within_days": 90, "at_least": 2},
    ]
}


class RuleField(serializers.JSONField):
    """Whom a segment means; see `contacts.segments.language`."""


class RuleFieldExtension(OpenApiSerializerFieldExtension):
    """Tells the language when the schema is made: the activities are registered by then."""

    target_class = RuleField

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {
            "type": "object",
            "additionalProperties": {},
            "description": _describe_rule(),
            "example": _RULE_EXAMPLE,
        }


class SegmentSerializer(StrictMixin, serializers.ModelSerializer[Segment]):
    """A segment. What is wrong with a rule is told by its place, as `rule.all[0].value`."""

    rule = RuleField()

    class Meta:
        model = Segment
        fields = ("id", "name", "description", "rule", "created_at", "updated_at")
        read_only_fields = ("id", "created_at", "updated_at")
        validators: list[Any] = []

    def create(self, validated_data: dict[str, Any]) -> Segment:
        return make_segment(self.context["caller"], validated_data)

    def update(self, instance: Segment, validated_data: dict[str, Any]) -> Segment:
        return change_segment(self.context["caller"], instance, validated_data)


class PreviewRequestSerializer(StrictMixin, serializers.Serializer[Any]):
    """A rule to be tried."""

    rule = RuleField()
    sample = serializers.IntegerField(
        required=False, default=SAMPLE, min_value=0, max_value=LARGEST_SAMPLE
    )


class SampleSerializer(serializers.ModelSerializer[Contact]):
    """One of those whom a rule means."""

    class Meta:
        model = Contact
        fields = ("email", "first_name", "last_name", "company", "status", "attributes")


class PreviewSerializer(serializers.Serializer[Any]):
    """How many contacts the rule means, and the newest of them."""

    count = serializers.IntegerField()
    sample = SampleSerializer(many=True)


class SegmentViewSet(TenantViewSet[Segment]):
    """The tenant's segments."""

    scope = "contacts"
    reading_actions = ("preview",)
    page_key = "segments"
    queryset = Segment.objects.all()
    serializer_class = SegmentSerializer
    lookup_value_regex = "[0-9]{1,18}"

    def list(self, request: Request) -> Response:
        """The newest first."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(responses={201: SegmentSerializer})
    @idempotent()
    def create(self, request: Request) -> Response:
        """Keep a rule under a name: 409 where there is a segment of this name."""
        return Response(self.get_serializer(self.write(request)).data, status=201)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One segment."""
        return Response(self.get_serializer(self.get_object()).data)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the fields that are given."""
        row = self.write(request, self.get_object())
        return Response(self.get_serializer(row).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Remove the segment; its people stay contacts."""
        self.get_object().delete()
        return Response(status=204)

    @extend_schema(request=PreviewRequestSerializer, responses={200: PreviewSerializer})
    def preview(self, request: Request) -> Response:
        """Whom a rule means now, without keeping it."""
        serializer = PreviewRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        found = preview(self.caller, check_rule(self.caller, given["rule"]), given["sample"])
        return Response(PreviewSerializer(found).data)

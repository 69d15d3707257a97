"""`contacts`: the people a tenant may write to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Prefetch
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from contacts.addresses import InvalidAddress, normalise_email
from contacts.api.answers import CsvMixin, as_csv_file
from contacts.api.holdings import HoldingsSerializer, held_at
from contacts.attributes import InvalidAttributes, check_attributes, merge_attributes
from contacts.columns import NAMES
from contacts.contact_rows import BadName, check_name
from contacts.csv_export import export_contacts
from contacts.holdings import erase_person, history_of
from contacts.joining import add_people
from contacts.listing import own_lists
from contacts.models import (
    Contact,
    ContactList,
    ContactStatus,
    ListMember,
    MemberState,
    Suppression,
    SuppressionReason,
)
from contacts.models.contact import ContactQuerySet
from contacts.searching import LONGEST_SEARCH, search_contacts
from mailhub.api.strict import StrictMixin
from mailhub.errors import Conflict, InvalidInput, NotFound
from mailhub.moments import read_moment

HISTORY_A_PAGE = 100
_SUPPRESSED = (
    "Why no campaign writes to the address, whatever its status: one of "
    f"{', '.join(SuppressionReason.values)}. null where one may."
)
_NARROWING = [
    OpenApiParameter(
        "q",
        {"type": "string", "maxLength": LONGEST_SEARCH},
        description="Beginnings of address, first or last name.",
    ),
    OpenApiParameter("status", str, enum=ContactStatus.values),
    OpenApiParameter("list_id", int, description="Who is subscribed to this list."),
    OpenApiParameter("segment_id", int, description="Whom this segment means."),
]


@extend_schema_field({"type": "object", "additionalProperties": {}})
class AttributesField(serializers.JSONField):
    """A JSON object; what is given is laid over what is stored, a null removes its key."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        try:
            return check_attributes(super().to_internal_value(data))
        except InvalidAttributes as error:
            raise serializers.ValidationError(str(error)) from None


@extend_schema_field(OpenApiTypes.EMAIL)
class AddressField(serializers.CharField):
    """An email address, in the one form that is stored."""

    def to_internal_value(self, data: Any) -> str:
        try:
            return normalise_email(super().to_internal_value(data))
        except InvalidAddress as error:
            raise serializers.ValidationError(str(error)) from None


class PlaceSerializer(serializers.ModelSerializer[ListMember]):
    """A list that a contact is or was on."""

    id = serializers.IntegerField(source="list_id", read_only=True)
    name = serializers.CharField(source="list.name", read_only=True)
    state = serializers.ChoiceField(MemberState.choices, read_only=True)

    class Meta:
        model = ListMember
        fields = ("id", "name", "state")


class ContactSerializer(StrictMixin, serializers.ModelSerializer[Contact]):
    """A contact. Fields that are left out stay as they are.

    `list_ids` puts it on lists, as `POST lists/{id}/members` does.
    """

    email = AddressField()
    attributes = AttributesField(required=False)
    suppressed = serializers.SerializerMethodField()
    lists = PlaceSerializer(source="memberships", many=True, read_only=True)
    list_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        write_only=True,
        max_length=100,
    )

    class Meta:
        model = Contact
        fields = (
            "email",
            "first_name",
            "last_name",
            "company",
            "attributes",
            "status",
            "suppressed",
            "lists",
            "list_ids",
            "created_at",
            "updated_at",
            "last_email_sent",
            "last_campaign",
            "email_count",
        )
        read_only_fields = (
            "created_at",
            "updated_at",
            "last_email_sent",
            "last_campaign",
            "email_count",
        )
        validators: list[Any] = []

    @extend_schema_field(serializers.CharField(allow_null=True, help_text=_SUPPRESSED))
    def get_suppressed(self, contact: Contact) -> str | None:
        known: dict[str, str] | None = self.context.get("suppressed")
        return (known if known is not None else _suppressed(contact)).get(contact.email)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        problems = {}
        for name in NAMES:
            try:
                attrs.update({name: check_name(attrs[name])} if name in attrs else {})
            except BadName as error:
                problems[name] = [f"This {error}"]
        if problems:
            raise serializers.ValidationError(problems)
        return attrs

    def validate_list_ids(self, value: list[int]) -> list[ContactList]:
        return own_lists(self.context["caller"], value)

    def create(self, validated_data: dict[str, Any]) -> Contact:
        attributes = merge_attributes({}, validated_data.pop("attributes", {}))
        lists = validated_data.pop("list_ids", ())
        tenant = self.context["caller"].tenant
        try:
            with transaction.atomic():
                stored = Contact.objects.create(
                    tenant=tenant, attributes=attributes, **validated_data
                )
                _put_on(lists, stored)
                return stored
        except IntegrityError:
            raise _is_there_already() from None

    def update(self, instance: Contact, validated_data: dict[str, Any]) -> Contact:
        try:
            with transaction.atomic():
                stored = Contact.objects.select_for_update().filter(pk=instance.pk).first()
                if stored is None:
                    raise NotFound("There is no such contact.")
                given = validated_data.pop("attributes", {})
                lists = validated_data.pop("list_ids", ())
                stored.attributes = merge_attributes(stored.attributes, given)
                for name, value in validated_data.items():
                    setattr(stored, name, value)
                stored.save(update_fields=self._columns(validated_data))
                _put_on(lists, stored)
                return stored
        except IntegrityError:
            raise _is_there_already() from None

    def _columns(self, given: dict[str, Any]) -> list[str]:
        """What to write: never the history, which campaigns write at the same time."""
        folded = [f"{name}_folded" for name in ("first_name", "last_name") if name in given]
        return ["attributes", "updated_at", *given, *folded]


class HappeningSerializer(serializers.Serializer[Any]):
    """Something that happened to a person.

    `kind` is added, list_added, list_asked, list_confirmed, list_left, suppressed, delivery,
    bounce or complaint; `details` name the list, the reason, or the campaign with state or
    verdict and reply.
    """

    at = serializers.DateTimeField()
    kind = serializers.CharField()
    details = AttributesField()


class HistorySerializer(serializers.Serializer[Any]):
    """A stretch of a contact's history; `next_before` is null at its end."""

    history = HappeningSerializer(many=True)
    next_before = serializers.DateTimeField(allow_null=True)


def _suppressed(*contacts: Contact) -> dict[str, str]:
    """The reasons of those of one tenant whose address is suppressed, by address."""
    emails = [contact.email for contact in contacts]
    rows = Suppression.objects.filter(
        tenant__in={contact.tenant_id for contact in contacts}, email__in=emails
    )
    return dict(rows.values_list("email", "reason"))


def _put_on(lists: Iterable[ContactList], contact: Contact) -> None:
    for contact_list in lists:
        add_people(contact_list, Contact.objects.filter(pk=contact.pk))


def _is_there_already() -> Conflict:
    return Conflict("There is a contact with this address already.", code="contact_exists")


class ContactViewSet(CsvMixin, TenantViewSet[Contact]):
    """Contacts of the tenant, by their address."""

    scope = "contacts"
    page_key = "contacts"
    queryset = Contact.objects.all()
    serializer_class = ContactSerializer
    lookup_field = "email"
    lookup_value_regex = ".+@[^/]+"

    def _searched(self) -> ContactQuerySet:
        query = self.request.query_params
        text = query.get("q", "")
        if len(text) > LONGEST_SEARCH:
            raise InvalidInput.field("q", f"Give at most {LONGEST_SEARCH} characters.")
        return search_contacts(
            self.caller,
            text,
            query.get("status", ""),
            query.get("list_id", ""),
            query.get("segment_id", ""),
        )

    def get_object(self) -> Contact:
        contact = self._find(self.kwargs["email"])
        if contact is None:
            raise NotFound("There is no such contact.")
        return contact

    def _find(self, address: str) -> Contact | None:
        try:
            email = normalise_email(address)
        except InvalidAddress:
            return None
        return self.get_queryset().filter(email=email).first()

    @extend_schema(parameters=_NARROWING, responses=ContactSerializer(many=True))
    def list(self, request: Request) -> Response:
        """The newest first."""
        places = Prefetch("memberships", ListMember.objects.select_related("list").order_by("pk"))
        page = self.paginate_queryset(self._searched().prefetch_related(places)) or []
        context = {**self.get_serializer_context(), "suppressed": _suppressed(*page)}
        values = ContactSerializer(page, many=True, context=context).data
        return self.get_paginated_response(values)

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "upsert", bool, description="Change the contact where there is one already."
            )
        ],
        responses={200: ContactSerializer, 201: ContactSerializer},
    )
    @idempotent()
    def create(self, request: Request) -> Response:
        """Add a contact: 409 where there is one with this address, unless `upsert=true`."""
        upsert = _read_flag(request, "upsert")
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        stored = self._find(serializer.validated_data["email"]) if upsert else None
        if stored is not None:
            serializer.instance = stored
        serializer.save()
        return Response(serializer.data, status=201 if stored is None else 200)

    def retrieve(self, request: Request, email: str) -> Response:
        """One contact."""
        return Response(self.get_serializer(self.get_object()).data)

    def partial_update(self, request: Request, email: str) -> Response:
        """Change the fields that are given."""
        row = self.write(request, self.get_object())
        return Response(self.get_serializer(row).data)

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "erase",
                bool,
                description="Erase all that is held about the address; a keyed digest stays, "
                "by which campaigns leave the address alone.",
            )
        ],
        responses={204: None},
    )
    def destroy(self, request: Request, email: str) -> Response:
        """Remove the contact. It stays on the suppression list if it is there.

        With `erase`, the address need not be a contact's: 404 where nothing is held about it.
        """
        if _read_flag(request, "erase"):
            address, _ = held_at(self.caller, email)
            erase_person(self.caller.tenant, address)
        else:
            self.get_object().delete()
        return Response(status=204)

    @extend_schema(responses=HoldingsSerializer, operation_id="contacts_export_one")
    def export_one(self, request: Request, email: str) -> Response:
        """All that is held about one person, contact or not; 404 where that is nothing."""
        _, held = held_at(self.caller, email)
        answer = Response(HoldingsSerializer(held).data)
        answer["Content-Disposition"] = 'attachment; filename="person.json"'
        return answer

    @extend_schema(
        parameters=[
            OpenApiParameter("before", OpenApiTypes.DATETIME, description="Older than this."),
        ],
        responses=HistorySerializer,
        filters=False,
    )
    def history(self, request: Request, email: str) -> Response:
        """What happened to the contact, the newest first; go on with `next_before`."""
        contact = self.get_object()
        before = _read_moment(request, "before")
        found = history_of(contact, before, HISTORY_A_PAGE)
        is_more = len(found) >= HISTORY_A_PAGE
        values = {
            "history": found,
            "next_before": found[-1].at - timedelta(microseconds=1) if is_more else None,
        }
        return Response(HistorySerializer(values).data)

    @extend_schema(
        parameters=_NARROWING,
        responses={(200, "text/csv"): OpenApiTypes.STR},
        operation_id="contacts_export",
        filters=False,
    )
    def export(self, request: Request) -> StreamingHttpResponse:
        """All contacts, or those searched for, as a CSV file."""
        return as_csv_file("contacts.csv", export_contacts(self._searched()))


def _read_moment(request: Request, name: str) -> datetime:
    text = request.query_params.get(name)
    if text is None:
        return timezone.now()
    moment = read_moment(text)
    if moment is None:
        raise InvalidInput.field(name, "Give a time, as 2026-03-01T10:00:00Z.")
    return moment


def _read_flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "1", "false", "0"):
        raise InvalidInput.field(name, "Give true or false.")
    return text in ("true", "1")

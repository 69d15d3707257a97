"""`contacts`: the people a tenant may write to."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from contacts.addresses import InvalidAddress, normalise_email
from contacts.api.answers import CsvMixin, as_csv_file
from contacts.attributes import InvalidAttributes, check_attributes, merge_attributes
from contacts.columns import NAMES
from contacts.contact_rows import BadName, check_name
from contacts.csv_export import export_contacts
from contacts.models import Contact, ContactStatus
from contacts.models.contact import ContactQuerySet
from contacts.searching import LONGEST_SEARCH, search_contacts
from mailhub.api.strict import StrictMixin
from mailhub.errors import Conflict, InvalidInput, NotFound

_NARROWING = [
    OpenApiParameter(
        "q",
        {"type": "string", "maxLength": LONGEST_SEARCH},
        description="Beginnings of address, first or last name.",
    ),
    OpenApiParameter("status", str, enum=ContactStatus.values),
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


class ContactSerializer(StrictMixin, serializers.ModelSerializer[Contact]):
    """A contact. Fields that are left out stay as they are."""

    email = AddressField()
    attributes = AttributesField(required=False)

    class Meta:
        model = Contact
        fields = (
            "email",
            "first_name",
            "last_name",
            "company",
            "attributes",
            "status",
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

    def create(self, validated_data: dict[str, Any]) -> Contact:
        attributes = merge_attributes({}, validated_data.pop("attributes", {}))
        tenant = self.context["caller"].tenant
        try:
            with transaction.atomic():
                return Contact.objects.create(
                    tenant=tenant, attributes=attributes, **validated_data
                )
        except IntegrityError:
            raise _is_there_already() from None

    def update(self, instance: Contact, validated_data: dict[str, Any]) -> Contact:
        try:
            with transaction.atomic():
                stored = Contact.objects.select_for_update().filter(pk=instance.pk).first()
                if stored is None:
                    raise NotFound("There is no such contact.")
                given = validated_data.pop("attributes", {})
                stored.attributes = merge_attributes(stored.attributes, given)
                for name, value in validated_data.items():
                    setattr(stored, name, value)
                stored.save(update_fields=self._columns(validated_data))
                return stored
        except IntegrityError:
            raise _is_there_already() from None

    def _columns(self, given: dict[str, Any]) -> list[str]:
        """What to write: never the history, which campaigns write at the same time."""
        folded = [f"{name}_folded" for name in ("first_name", "last_name") if name in given]
        return ["attributes", "updated_at", *given, *folded]


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
        return search_contacts(self.caller, text, query.get("status", ""))

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
        page = self.paginate_queryset(self._searched())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

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
        serializer = self.get_serializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(serializer.data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, email: str) -> Response:
        """Remove the contact. It stays on the suppression list if it is there."""
        self.get_object().delete()
        return Response(status=204)

    @extend_schema(
        parameters=_NARROWING,
        responses={(200, "text/csv"): OpenApiTypes.STR},
        operation_id="contacts_export",
        filters=False,
    )
    def export(self, request: Request) -> StreamingHttpResponse:
        """All contacts, or those searched for, as a CSV file."""
        return as_csv_file("contacts.csv", export_contacts(self._searched()))


def _read_flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "1", "false", "0"):
        raise InvalidInput.field(name, "Give true or false.")
    return text in ("true", "1")

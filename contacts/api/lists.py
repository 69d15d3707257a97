"""`lists` and their members."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from contacts.addresses import InvalidAddress, normalise_email
from contacts.api.contacts import AddressField
from contacts.joining import add_addresses, leave, subscribe
from contacts.listing import change_list, delete_list, make_list
from contacts.models import ContactList, ListMember, MemberState
from mailhub.api.strict import StrictMixin
from mailhub.errors import InvalidInput, NotFound

MOST_ADDED_AT_ONCE = 1000


class ListSerializer(StrictMixin, serializers.ModelSerializer[ContactList]):
    """A list, and how many are on it.

    With `opt_in` double, whoever is added is asked by mail: from `account_id`, or by the
    installation's own sender from `from_email`. `trouble` says why that could not be done.
    """

    account_id = serializers.UUIDField(required=False, allow_null=True)
    subscribed_count = serializers.IntegerField(read_only=True)
    pending_count = serializers.IntegerField(read_only=True)
    unsubscribed_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = ContactList
        fields = (
            "id",
            "name",
            "description",
            "opt_in",
            "account_id",
            "from_email",
            "trouble",
            "subscribed_count",
            "pending_count",
            "unsubscribed_count",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("id", "trouble", "created_at", "updated_at")
        validators: list[Any] = []

    def create(self, validated_data: dict[str, Any]) -> ContactList:
        return make_list(self.context["caller"], validated_data)

    def update(self, instance: ContactList, validated_data: dict[str, Any]) -> ContactList:
        return change_list(self.context["caller"], instance, validated_data)

    def to_representation(self, instance: ContactList) -> dict[str, Any]:
        counted: dict[str, int] = self.context["counted"].get(instance.pk, {})
        for state in MemberState.values:
            setattr(instance, f"{state}_count", counted.get(state, 0))
        return dict(super().to_representation(instance))


class ListViewSet(TenantViewSet[ContactList]):
    """The tenant's lists."""

    scope = "contacts"
    page_key = "lists"
    queryset = ContactList.objects.all()
    serializer_class = ListSerializer
    lookup_value_regex = "[0-9]{1,18}"

    def _values(self, rows: list[ContactList]) -> list[dict[str, Any]]:
        counted = ListMember.objects.count_by_list([row.pk for row in rows])
        context = {**self.get_serializer_context(), "counted": counted}
        return [dict(ListSerializer(row, context=context).data) for row in rows]

    def list(self, request: Request) -> Response:
        """The newest first."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(self._values(page))

    @extend_schema(responses={201: ListSerializer})
    @idempotent()
    def create(self, request: Request) -> Response:
        """Make a list: 409 where there is one of this name, however that is written."""
        return Response(self._values([self.write(request)])[0], status=201)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One list."""
        return Response(self._values([self.get_object()])[0])

    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the fields that are given."""
        return Response(self._values([self.write(request, self.get_object())])[0])

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Remove the list; its members stay contacts. 409 where a segment asks for it."""
        delete_list(self.get_object())
        return Response(status=204)


class MemberSerializer(serializers.ModelSerializer[ListMember]):
    """A contact's place on a list."""

    email = serializers.EmailField(source="contact.email", read_only=True)
    first_name = serializers.CharField(source="contact.first_name", read_only=True)
    last_name = serializers.CharField(source="contact.last_name", read_only=True)

    class Meta:
        model = ListMember
        fields = (
            "email",
            "first_name",
            "last_name",
            "state",
            "added_at",
            "asked_at",
            "confirmed_at",
            "left_at",
        )
        read_only_fields = fields


class NewMembersSerializer(StrictMixin, serializers.Serializer[Any]):
    """Addresses to be put on a list; who is no contact yet becomes one."""

    emails = serializers.ListField(
        child=AddressField(), allow_empty=False, max_length=MOST_ADDED_AT_ONCE
    )


class AddedSerializer(serializers.Serializer[Any]):
    """How many are new on the list; the others were on it, or have left it."""

    added = serializers.IntegerField()
    unchanged = serializers.IntegerField()


class MemberChangeSerializer(StrictMixin, serializers.Serializer[Any]):
    """Where the person is to stand, in whose name the caller speaks."""

    state = serializers.ChoiceField([MemberState.SUBSCRIBED.value, MemberState.UNSUBSCRIBED.value])


class MemberViewSet(TenantViewSet[ListMember]):
    """The members of one list."""

    scope = "contacts"
    page_key = "members"
    queryset = ListMember.objects.all()
    serializer_class = MemberSerializer

    def get_queryset(self) -> QuerySet[ListMember]:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        return rows.filter(list=self._list()).select_related("contact")

    def _list(self) -> ContactList:
        lists = ContactList.objects.for_caller(self.caller)
        return get_object_or_404(lists, pk=self.kwargs["list_id"])

    def get_object(self) -> ListMember:
        rows = self.get_queryset()
        try:
            found = rows.filter(contact__email=normalise_email(self.kwargs["email"])).first()
        except InvalidAddress:
            found = None
        if found is None:
            raise NotFound("This address is not on the list.")
        return found

    @extend_schema(parameters=[OpenApiParameter("state", enum=MemberState.values)])
    def list(self, request: Request, list_id: int) -> Response:
        """The newest first."""
        rows = self.get_queryset()
        state = request.query_params.get("state")
        if state is not None:
            if state not in MemberState.values:
                raise InvalidInput.field("state", f"Give one of {', '.join(MemberState.values)}.")
            rows = rows.filter(state=state)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=NewMembersSerializer, responses={200: AddedSerializer})
    @idempotent()
    def create(self, request: Request, list_id: int) -> Response:
        """Put addresses on the list.

        With double opt-in each is asked by mail and pending until it says yes; one that was
        asked more than a day ago is asked again. Who has left the list is not put back.
        """
        contact_list = self._list()
        serializer = NewMembersSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        added = add_addresses(contact_list, serializer.validated_data["emails"])
        return Response(AddedSerializer(added).data)

    def retrieve(self, request: Request, list_id: int, email: str) -> Response:
        """One member."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=MemberChangeSerializer)
    def partial_update(self, request: Request, list_id: int, email: str) -> Response:
        """Write down what the person has told you: to be on the list, or off it."""
        member = self.get_object()
        serializer = MemberChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        is_to_stay = serializer.validated_data["state"] == MemberState.SUBSCRIBED
        (subscribe if is_to_stay else leave)(member)
        return Response(self.get_serializer(member).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, list_id: int, email: str) -> Response:
        """Forget that the contact was ever on the list."""
        self.get_object().delete()
        return Response(status=204)

"""Forms of the admin: what an operator types is held to what the API and imports are."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

from contacts.addresses import InvalidAddress, normalise_email
from contacts.attributes import InvalidAttributes, check_attributes
from contacts.contact_rows import BadName, check_name
from contacts.models import Contact, ContactList, Segment, Suppression
from contacts.models.folded_text import caseless
from contacts.segments.language import read_rule
from mailhub.errors import InvalidInput
from mailhub.generic_bases import ModelForm


def _clean_email(form: forms.ModelForm[Any]) -> str:
    try:
        return normalise_email(form.cleaned_data["email"])
    except InvalidAddress as error:
        raise ValidationError(str(error)) from None


class JSONText(forms.JSONField):
    """Django's, which is broken by a number of endless digits and by brackets without end."""

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except (ValueError, RecursionError):
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return super().bound_data(data, initial)
        except (ValueError, RecursionError):
            return InvalidJSONInput(data)


class ContactForm(ModelForm):
    class Meta:
        model = Contact
        fields = ("tenant", "email", "first_name", "last_name", "company", "status", "attributes")
        field_classes: ClassVar[dict[str, type[forms.Field]]] = {"attributes": JSONText}

    def clean_email(self) -> str:
        return _clean_email(self)

    def clean_first_name(self) -> str:
        return self._clean_name("first_name")

    def clean_last_name(self) -> str:
        return self._clean_name("last_name")

    def clean_company(self) -> str:
        return self._clean_name("company")

    def _clean_name(self, name: str) -> str:
        try:
            return check_name(self.cleaned_data[name])
        except BadName as error:
            raise ValidationError(f"This {error}") from None

    def clean_attributes(self) -> dict[str, Any]:
        try:
            return check_attributes(self.cleaned_data["attributes"] or {})
        except InvalidAttributes as error:
            raise ValidationError(str(error)) from None


class SuppressionForm(ModelForm):
    class Meta:
        model = Suppression
        fields = ("tenant", "email", "reason")

    def clean_email(self) -> str:
        return _clean_email(self)


class ContactListForm(ModelForm):
    class Meta:
        model = ContactList
        fields = ("tenant", "name", "description", "opt_in", "from_email", "account")

    def clean(self) -> dict[str, Any]:
        """The name is to be the tenant's only one, however it is written."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        alike = ContactList.objects.filter(
            tenant=cleaned.get("tenant"), name_caseless=caseless(cleaned.get("name", ""))
        )
        if alike.exclude(pk=self.instance.pk).exists():
            self.add_error("name", "There is a list of this name already.")
        return cleaned


class SegmentForm(ModelForm):
    class Meta:
        model = Segment
        fields = ("tenant", "name", "description", "rule")
        field_classes: ClassVar[dict[str, type[forms.Field]]] = {"rule": JSONText}

    def clean(self) -> dict[str, Any]:
        """The rule may name the lists of the segment's tenant alone."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        tenant, rule = cleaned.get("tenant"), cleaned.get("rule")
        if tenant is not None and rule is not None:
            lists = ContactList.objects.filter(tenant=tenant).values_list("pk", flat=True)
            try:
                read_rule(rule, set(lists))
            except InvalidInput as error:
                self.add_error("rule", error.message)
        return cleaned

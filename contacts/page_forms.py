"""Forms of the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from accounts.caller import Caller
from accounts.models import EmailAccount
from accounts.validators import single_line
from contacts.admin_forms import ContactForm
from contacts.models import Contact, ContactList, OptIn
from contacts.models.contact_list import LONGEST_LIST_NAME

_OPT_IN = [
    (OptIn.SINGLE.value, "being added"),
    (OptIn.DOUBLE.value, "saying yes to a mail that asks them"),
]


class PersonForm(ContactForm):
    """What may be changed of a contact; its address is who it is."""

    class Meta:
        model = Contact
        field_classes = ContactForm.Meta.field_classes
        fields = ("first_name", "last_name", "company", "status", "attributes")

    def keep(self) -> None:
        """Write these fields alone: campaigns write others at the same time."""
        folded = ("first_name_folded", "last_name_folded", "updated_at")
        self.instance.save(update_fields=[*self.cleaned_data, *folded])


class ListForm(forms.Form):
    """As the API takes it."""

    name = forms.CharField(max_length=LONGEST_LIST_NAME, validators=[single_line])
    description = forms.CharField(
        max_length=500,
        required=False,
        validators=[single_line],
        help_text="Shown to the people on it.",
    )
    opt_in = forms.ChoiceField(label="People join by", choices=_OPT_IN)
    account_id = forms.ChoiceField(
        label="They are asked from",
        required=False,
        help_text="Where they are asked at all.",
    )
    from_email = forms.CharField(
        label="In the name of",
        max_length=400,
        required=False,
        validators=[single_line],
        help_text="An address; left empty, the account’s own.",
    )

    def __init__(
        self, caller: Caller, contact_list: ContactList, data: Mapping[str, Any] | None = None
    ) -> None:
        names = ("name", "description", "opt_in", "account_id", "from_email")
        super().__init__(data, initial={name: getattr(contact_list, name) for name in names})
        accounts = EmailAccount.objects.sendable_by(caller).filter(is_enabled=True)
        choices = [(str(row.pk), row.email_address) for row in accounts.order_by("email_address")]
        field = self.fields["account_id"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "this installation’s own sender"), *choices]

    def clean_account_id(self) -> str | None:
        """None for no account."""
        return self.cleaned_data["account_id"] or None

"""The contacts app."""

from django.apps import AppConfig


class ContactsConfig(AppConfig):
    name = "contacts"

    def ready(self) -> None:
        """SQLite is taught what segments ask."""
        from django.db.backends.signals import connection_created

        from contacts.segments.attribute_values import (
            register_functions,
        )

        connection_created.connect(register_functions, dispatch_uid="contacts.segments")

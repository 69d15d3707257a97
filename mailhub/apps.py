"""The house itself, as a Django app: management commands, system checks, signals."""

from django.apps import AppConfig


class MailhubConfig(AppConfig):
    name = "mailhub"
    verbose_name = "mailhub"

    def ready(self) -> None:
        from django.core.signals import request_started
        from django.db.models.signals import post_migrate

        # The queue's module wants its models loaded.
        from django_q.signals import post_spawn

        # Registers a lookup, and the system checks.
        from mailhub import among, checks  # noqa: F401 - they register
        from mailhub.quiet_connections import trust_quiet_connections
        from mailhub.sqlite_statistics import tell_planner
        from mailhub.warm_up import spare_what_is_loaded

        post_migrate.connect(tell_planner, dispatch_uid="tell_planner")
        request_started.connect(trust_quiet_connections, dispatch_uid="trust_quiet_connections")
        post_spawn.connect(spare_what_is_loaded, dispatch_uid="spare_what_is_loaded")

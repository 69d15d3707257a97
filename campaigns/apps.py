"""The campaigns app."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    name = "campaigns"

    def ready(self) -> None:
        """Segments, and requests about a person, may ask what campaigns know of a contact.

        New mail may ask to leave.
        """
        from campaigns import activity, holdings
        from campaigns.feedback import mailbox_reports
        from campaigns.links import leaving_by_mail

        activity.register()
        holdings.register()
        mailbox_reports.listen()
        leaving_by_mail.listen()

"""The API addresses of campaigns."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from campaigns.api.campaigns import CampaignStatusViewSet, CampaignViewSet, DeliveryViewSet
from campaigns.api.dkim_keys import DkimKeyViewSet
from campaigns.api.sender_check import SenderCheckViewSet
from campaigns.api.ses_topics import SesTopicViewSet
from campaigns.api.ses_webhook import SesWebhookViewSet
from campaigns.api.smtp_campaign import SesCampaignViewSet, SmtpCampaignViewSet
from campaigns.api.statistics import StatisticsViewSet
from campaigns.api.templates import TemplateViewSet

router = SimpleRouter(trailing_slash=False)
router.register("campaigns", CampaignViewSet, basename="campaign")
router.register("campaign-status", CampaignStatusViewSet, basename="campaign-status")
router.register("templates", TemplateViewSet, basename="template")
router.register("smtp-campaign", SmtpCampaignViewSet, basename="smtp-campaign")
router.register("ses-campaign", SesCampaignViewSet, basename="ses-campaign")
router.register("dkim-keys", DkimKeyViewSet, basename="dkim-key")
router.register("sender-check", SenderCheckViewSet, basename="sender-check")
router.register("statistics", StatisticsViewSet, basename="statistics")
router.register("ses-topics", SesTopicViewSet, basename="ses-topic")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path(
        "campaigns/<str:campaign_id>/deliveries",
        DeliveryViewSet.as_view({"get": "list"}),
        name="delivery-list",
    ),
    path("webhooks/ses", SesWebhookViewSet.as_view({"post": "create"}), name="ses-webhook"),
]

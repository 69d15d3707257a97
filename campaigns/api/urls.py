"""The API addresses of campaigns."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from campaigns.api.campaigns import CampaignStatusViewSet, CampaignViewSet, DeliveryViewSet
from campaigns.api.smtp_campaign import SmtpCampaignViewSet

router = SimpleRouter(trailing_slash=False)
router.register("campaigns", CampaignViewSet, basename="campaign")
router.register("campaign-status", CampaignStatusViewSet, basename="campaign-status")
router.register("smtp-campaign", SmtpCampaignViewSet, basename="smtp-campaign")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path(
        "campaigns/<str:campaign_id>/deliveries",
        DeliveryViewSet.as_view({"get": "list"}),
        name="delivery-list",
    ),
]

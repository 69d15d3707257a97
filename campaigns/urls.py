"""The page addresses of campaigns."""

from django.urls import URLPattern, URLResolver, path

from campaigns import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("campaigns", views.list_campaigns, name="campaigns"),
    path("campaigns/<str:campaign_id>", views.show_campaign, name="campaign"),
    path("campaigns/<str:campaign_id>/measures", views.show_measures, name="campaign-measures"),
    path("campaigns/<str:campaign_id>/pause", views.pause, name="pause-campaign"),
    path("campaigns/<str:campaign_id>/resume", views.resume, name="resume-campaign"),
    path("campaigns/<str:campaign_id>/cancel", views.cancel, name="cancel-campaign"),
    path("campaigns/<str:campaign_id>/resend", views.resend, name="resend-uncertain"),
    path("campaigns/<str:campaign_id>/mark-sent", views.mark_sent, name="mark-uncertain-sent"),
    path("campaigns/<str:campaign_id>/retry", views.retry, name="retry-failed"),
]

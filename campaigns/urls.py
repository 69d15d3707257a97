"""The page addresses of campaigns."""

from django.urls import URLPattern, URLResolver, path

from campaigns import (
    compose_views,
    dkim_key_views,
    public_views,
    report_views,
    sender_views,
    statistics_views,
    template_views,
    topic_views,
    views,
)
from campaigns.links.tokens import PATHS, Purpose

urlpatterns: list[URLPattern | URLResolver] = [
    path(f"{PATHS[Purpose.LEAVE]}<str:token>", public_views.unsubscribe, name="unsubscribe"),
    path(f"{PATHS[Purpose.OPEN]}<str:token>.gif", public_views.open_image, name="open"),
    path(f"{PATHS[Purpose.CLICK]}<str:token>", public_views.follow_link, name="click"),
    path("sender-check", sender_views.show_sender_check, name="sender-check"),
    path("settings/ses-topics", topic_views.list_topics, name="ses-topics"),
    path("settings/ses-topics/add", topic_views.add, name="add-ses-topic"),
    path("settings/ses-topics/<int:pk>/remove", topic_views.remove, name="remove-ses-topic"),
    path("settings/dkim-keys", dkim_key_views.list_keys, name="dkim-keys"),
    path("settings/dkim-keys/add", dkim_key_views.add, name="add-dkim-key"),
    path("settings/dkim-keys/<int:pk>", dkim_key_views.show, name="dkim-key"),
    path("settings/dkim-keys/<int:pk>/remove", dkim_key_views.remove, name="remove-dkim-key"),
    path("statistics", statistics_views.show_statistics, name="statistics"),
    path("statistics.csv", statistics_views.download_statistics, name="download-statistics"),
    path("campaigns", views.list_campaigns, name="campaigns"),
    path("campaigns/new", compose_views.add_campaign, name="add-campaign"),
    path("campaigns/<str:campaign_id>/compose", compose_views.compose, name="compose-campaign"),
    path("campaigns/<str:campaign_id>/send", compose_views.send, name="send-campaign"),
    path("campaigns/<str:campaign_id>/copy", compose_views.copy_campaign, name="copy-campaign"),
    path("campaigns/<str:campaign_id>/delete", compose_views.delete, name="delete-campaign"),
    path("templates", template_views.show_templates, name="templates"),
    path("templates/new", template_views.add_template, name="add-template"),
    path("templates/preview", template_views.preview_template, name="preview-template"),
    path("templates/<int:template_id>", template_views.edit_template, name="template"),
    path(
        "templates/<int:template_id>/delete", template_views.delete_template, name="delete-template"
    ),
    path("campaigns/<str:campaign_id>", views.show_campaign, name="campaign"),
    path("campaigns/<str:campaign_id>/measures", views.show_measures, name="campaign-measures"),
    path("campaigns/<str:campaign_id>/pause", views.pause, name="pause-campaign"),
    path("campaigns/<str:campaign_id>/resume", views.resume, name="resume-campaign"),
    path("campaigns/<str:campaign_id>/cancel", views.cancel, name="cancel-campaign"),
    path("campaigns/<str:campaign_id>/resend", views.resend, name="resend-uncertain"),
    path("campaigns/<str:campaign_id>/mark-sent", views.mark_sent, name="mark-uncertain-sent"),
    path("campaigns/<str:campaign_id>/retry", views.retry, name="retry-failed"),
    path(
        "campaigns/<str:campaign_id>/recipients",
        report_views.show_recipients,
        name="campaign-recipients",
    ),
    path(
        "campaigns/<str:campaign_id>/recipients.csv",
        report_views.download_recipients,
        name="download-recipients",
    ),
    path(
        "campaigns/<str:campaign_id>/breakdown",
        report_views.show_breakdown,
        name="campaign-breakdown",
    ),
    path("campaigns/<str:campaign_id>/pace", report_views.show_pace, name="campaign-pace"),
]

"""The page addresses of contacts."""

from django.urls import URLPattern, URLResolver, path

from contacts import list_views, person_views, public_views, segment_views, views
from contacts.preferences import PATH

urlpatterns: list[URLPattern | URLResolver] = [
    path("confirm/<str:token>", public_views.confirm_membership, name="confirm"),
    path(f"{PATH}<str:token>", public_views.choose_preferences, name="preferences"),
    path("contacts", views.list_contacts, name="contacts"),
    path("contacts/import", views.import_contacts, name="import-contacts"),
    path("contacts/import/preview", views.preview_import, name="preview-import"),
    path("contacts/<int:contact_id>", person_views.show_person, name="contact"),
    path("contacts/<int:contact_id>/edit", person_views.edit_person, name="edit-contact"),
    path("contacts/<int:contact_id>/remove", person_views.remove_person, name="remove-contact"),
    path("contacts/lists", list_views.show_lists, name="lists"),
    path("contacts/lists/new", list_views.add_list, name="add-list"),
    path("contacts/lists/<int:list_id>", list_views.show_list, name="list"),
    path("contacts/lists/<int:list_id>/change", list_views.edit_list, name="change-list"),
    path("contacts/lists/<int:list_id>/delete", list_views.ask_to_delete_list, name="delete-list"),
    path("contacts/segments", segment_views.show_segments, name="segments"),
    path("contacts/segments/new", segment_views.add_segment, name="add-segment"),
    path("contacts/segments/count", segment_views.count_draft, name="count-draft"),
    path("contacts/segments/<int:segment_id>", segment_views.edit_segment, name="segment"),
    path(
        "contacts/segments/<int:segment_id>/count", segment_views.count_kept, name="count-segment"
    ),
    path(
        "contacts/segments/<int:segment_id>/delete",
        segment_views.delete_segment,
        name="delete-segment",
    ),
    path("contacts/suppressions", list_views.show_suppressions, name="suppressions"),
    path(
        "contacts/suppressions/<int:suppression_id>/lift",
        list_views.lift_suppression,
        name="lift-suppression",
    ),
    path("contacts/imports/<int:import_id>", views.show_import, name="contact-import"),
    path(
        "contacts/imports/<int:import_id>/measures",
        views.show_import_measures,
        name="contact-import-measures",
    ),
    path("contacts/imports/<int:import_id>/cancel", views.cancel_import, name="cancel-import"),
    path(
        "contacts/imports/<int:import_id>/bad-rows.csv",
        views.download_bad_rows,
        name="import-bad-rows",
    ),
]

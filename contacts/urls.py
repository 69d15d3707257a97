"""The page addresses of contacts."""

from django.urls import URLPattern, URLResolver, path

from contacts import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("contacts", views.list_contacts, name="contacts"),
    path("contacts/import", views.import_contacts, name="import-contacts"),
    path("contacts/import/preview", views.preview_import, name="preview-import"),
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

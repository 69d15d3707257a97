"""A campaign writes into each contact that it was sent."""

from django.db import migrations

from mailhub.room_on_pages import leave_room


class Migration(migrations.Migration):
    dependencies = [("contacts", "0001_initial")]

    operations = [leave_room("contacts")]

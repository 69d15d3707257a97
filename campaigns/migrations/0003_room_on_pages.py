"""A worker writes its shift into each delivery that it claims."""

from django.db import migrations

from mailhub.room_on_pages import leave_room


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0002_triggers")]

    operations = [leave_room("campaign_deliveries")]

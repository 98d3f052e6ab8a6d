from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "relay_project.alerts"
    label = "alerts"
    default_auto_field = "django.db.models.BigAutoField"

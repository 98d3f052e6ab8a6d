from django.apps import AppConfig


class ShadowsConfig(AppConfig):
    name = "routing.shadows"
    default_auto_field = "django.db.models.BigAutoField"

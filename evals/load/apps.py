from django.apps import AppConfig


class LoadConfig(AppConfig):
    name = "evals.load"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Load runs"

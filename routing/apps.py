from django.apps import AppConfig

from traces import store


class RoutingConfig(AppConfig):
    name = "routing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from routing.canary_calls import keep_calls  # models are not there earlier

        store.ALONG.append(keep_calls)

from django.apps import AppConfig


class EvalsConfig(AppConfig):
    name = "evals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from evals.proving import replay_on_recent  # models are not there earlier
        from routing.activation import REPLAYS

        REPLAYS.append(replay_on_recent)

from django.apps import AppConfig


class EvalsConfig(AppConfig):
    name = "evals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from evals.canary_scorers import described, read_canary_scorer
        from evals.proving import replay_on_recent  # models are not there earlier
        from routing.activation import REPLAYS
        from routing.canary_scores import READERS

        REPLAYS.append(replay_on_recent)
        READERS.append((read_canary_scorer, described))

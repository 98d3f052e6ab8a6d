"""`manage.py ollama_models`: what an Ollama server has, and fetching more."""

import os
from typing import Any

import httpx
import ollama
from django.core.management.base import BaseCommand, CommandError, CommandParser

from routing.models import Provider


class Command(BaseCommand):
    help = "List the models of an Ollama server, or pull one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["list", "pull"])
        parser.add_argument("model", nargs="?", help="For pull, for example llama3.2:1b.")
        parser.add_argument("--host", help="Where Ollama is; OLLAMA_HOST or the first Ollama provider if left out.")

    def handle(self, *args: Any, action: str, model: str | None, host: str | None, **options: Any) -> None:
        if action == "pull" and not model:
            raise CommandError("Name the model: manage.py ollama_models pull llama3.2:1b")
        address = host or os.environ.get("OLLAMA_HOST") or _first_provider()
        client = ollama.Client(host=address)
        try:
            self.pull(client, model) if action == "pull" and model else self.list(client)
        except ollama.ResponseError as error:
            raise CommandError(f"Ollama at {address} refused: {error.error}") from error
        except (ConnectionError, httpx.HTTPError) as error:
            raise CommandError(f"No Ollama answers at {address}. Start it, or set OLLAMA_HOST.") from error

    def list(self, client: ollama.Client) -> None:
        models = client.list().models
        for model in models:
            size = f"{model.size / 1e9:.1f} GB" if model.size else "–"
            self.stdout.write(f"{model.model or '?':<40} {size:>9}")
        if not models:
            self.stdout.write("No models yet. Fetch one: manage.py ollama_models pull llama3.2:1b")

    def pull(self, client: ollama.Client, model: str) -> None:
        """Progress on stderr: one line for each tenth of each layer."""
        said: tuple[str | None, int] = (None, -1)
        for step in client.pull(model, stream=True):
            tenth = int(10 * (step.completed or 0) / step.total) if step.total else 0
            if (step.status, tenth) != said:
                said = (step.status, tenth)
                self.stderr.write(f"{step.status}{f' {10 * tenth} %' if step.total else ''}")
        self.stdout.write(f"{model} is here. Add a deployment with this model name to use it.")


def _first_provider() -> str:
    provider = Provider.objects.filter(kind=Provider.Kind.OLLAMA).order_by("slug").first()
    return provider.base_url if provider else "http://127.0.0.1:11434"

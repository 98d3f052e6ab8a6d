"""Model servers. A kind of provider is one file here and one line below."""

import aiohttp

from routing.providers.base import Adapter
from routing.providers.minilm import MiniLm
from routing.providers.mock import Mock
from routing.providers.ollama import Ollama
from routing.providers.openai_compatible import OpenAICompatible


def adapters(session: aiohttp.ClientSession) -> dict[str, Adapter]:
    """By Provider.kind."""
    return {
        "openai_compatible": OpenAICompatible(session),
        "ollama": Ollama(session),
        "minilm": MiniLm(),
        "mock": Mock(),
    }

"""Model servers. A kind of provider is one file here and one line below."""

from routing.providers.anthropic import Anthropic
from routing.providers.base import Adapter
from routing.providers.bedrock import Bedrock
from routing.providers.minilm import MiniLm
from routing.providers.mock import Mock
from routing.providers.ollama import Ollama
from routing.providers.openai_compatible import OpenAICompatible
from routing.providers.outlet import Outlet


def adapters(outlet: Outlet) -> dict[str, Adapter]:
    """By Provider.kind."""
    return {
        "openai_compatible": OpenAICompatible(outlet),
        "anthropic": Anthropic(outlet),
        "bedrock": Bedrock(outlet),
        "ollama": Ollama(outlet),
        "minilm": MiniLm(),
        "mock": Mock(),
    }

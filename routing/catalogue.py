"""The providers and models that a new installation knows, as values. `routing/seeding.py` makes rows of them.

Free tiers cost nothing and have limits, which are never passed; paid ones have the list price of routing/data. Hosted
providers are not used until they have a credential. Sources: the vendors' pages on models and limits; for neurons the
price list of Cloudflare Workers AI. ``quality`` and ``strengths`` are our judgement, ``typical_latency_ms`` is that of
an answer of some 200 tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from routing.models import ACCOUNT_ID, Provider

Kind = Provider.Kind
LOCAL, HOSTED = ("development",), ("production",)


@dataclass(frozen=True, slots=True)
class ProviderSeed:
    slug: str
    name: str
    kind: str = Kind.OPENAI
    base_url: str = ""
    credential_env: str = ""  # hosted providers have one, and need it
    environments: tuple[str, ...] = HOSTED
    allow_private: bool = False
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class LimitSeed:
    metric: str
    window: str
    limit: int


@dataclass(frozen=True, slots=True)
class DeploymentSeed:
    slug: str
    provider: str
    model: str
    context_window: int
    quality: int
    strengths: Mapping[str, float]
    typical_latency_ms: int
    price_in_microusd: int = 0
    price_out_microusd: int = 0
    neurons_in: int = 0
    neurons_out: int = 0
    limits: tuple[LimitSeed, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)  # capacity, timeouts and options other than a new row's

    @property
    def is_free(self) -> bool:
        return not (self.price_in_microusd or self.price_out_microusd)


@dataclass(frozen=True, slots=True)
class RouteSeed:
    """``candidates`` in the order in which they are tried; those whose provider is not there are left out.

    ``shares`` split the traffic between them, ``policy`` is one of POLICIES.
    """

    name: str
    candidates: tuple[str, ...]
    shares: tuple[int, ...] = ()
    path: str = ""
    policy: str = "demo"


PROVIDERS = (
    ProviderSeed("openrouter", "OpenRouter", Kind.OPENAI, "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    ProviderSeed("groq", "Groq", Kind.OPENAI, "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    ProviderSeed(
        "cloudflare",
        "Cloudflare Workers AI",
        Kind.OPENAI,
        f"https://api.cloudflare.com/client/v4/accounts/{ACCOUNT_ID}/ai/v1",
        "CLOUDFLARE_API_KEY",
    ),
    ProviderSeed("nvidia", "NVIDIA NIM", Kind.OPENAI, "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    ProviderSeed("mistral", "Mistral", Kind.OPENAI, "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    ProviderSeed("together", "Together", Kind.OPENAI, "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    ProviderSeed("openai", "OpenAI", Kind.OPENAI, "https://api.openai.com/v1", "OPENAI_API_KEY"),
    ProviderSeed("anthropic", "Anthropic", Kind.ANTHROPIC, "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    ProviderSeed(
        "bedrock",
        "AWS Bedrock",
        Kind.BEDROCK,
        "https://bedrock-runtime.us-east-1.amazonaws.com",
        "BEDROCK_API_KEY",
    ),
    ProviderSeed("ollama", "Ollama", Kind.OLLAMA, "http://127.0.0.1:11434", environments=LOCAL, allow_private=True),
    ProviderSeed("embedded", "Embedded llama.cpp", environments=LOCAL, allow_private=True),
    ProviderSeed(
        "vllm",
        "vLLM",
        Kind.OPENAI,
        "http://127.0.0.1:8001/v1",
        environments=LOCAL,
        allow_private=True,
        enabled=False,
    ),
    ProviderSeed("mock", "Mock", Kind.MOCK, environments=LOCAL),
    ProviderSeed("minilm", "MiniLM", Kind.MINILM, environments=()),
)

DEPLOYMENTS = (
    DeploymentSeed(
        "openrouter-deepseek-r1",
        "openrouter",
        "deepseek/deepseek-r1:free",
        context_window=163_840,
        quality=90,
        strengths={"reasoning": 0.95, "coding": 0.85, "chat": 0.6, "speed": 0.1},
        typical_latency_ms=12_000,
        limits=(LimitSeed("requests", "day", 200), LimitSeed("requests", "minute", 20)),
        more={"ttft_timeout_ms": 60_000, "total_timeout_ms": 300_000},
    ),
    DeploymentSeed(
        "groq-llama-3-3-70b",
        "groq",
        "llama-3.3-70b-versatile",
        context_window=131_072,
        quality=78,
        strengths={"reasoning": 0.6, "coding": 0.65, "chat": 0.75, "speed": 1.0},
        typical_latency_ms=700,
        limits=(LimitSeed("requests", "day", 14_400), LimitSeed("requests", "minute", 30)),
    ),
    DeploymentSeed(
        "cloudflare-llama-3-1-8b",
        "cloudflare",
        "@cf/meta/llama-3.1-8b-instruct",
        context_window=7_968,
        quality=55,
        strengths={"reasoning": 0.3, "coding": 0.35, "chat": 0.6, "speed": 0.6},
        typical_latency_ms=2_000,
        neurons_in=25_608,
        neurons_out=75_147,
        limits=(LimitSeed("neurons", "day", 10_000),),
    ),
    DeploymentSeed(
        "nvidia-llama-3-3-70b",
        "nvidia",
        "meta/llama-3.3-70b-instruct",
        context_window=131_072,
        quality=78,
        strengths={"reasoning": 0.6, "coding": 0.65, "chat": 0.75, "speed": 0.4},
        typical_latency_ms=4_000,
        limits=(LimitSeed("requests", "minute", 40),),
    ),
    DeploymentSeed(
        "mistral-small",
        "mistral",
        "mistral-small-latest",
        context_window=131_072,
        quality=75,
        strengths={"reasoning": 0.55, "coding": 0.65, "chat": 0.75, "speed": 0.6},
        typical_latency_ms=2_000,
        limits=(LimitSeed("tokens", "month", 1_000_000_000), LimitSeed("requests", "minute", 60)),
    ),
    DeploymentSeed(
        "together-gpt-oss-120b",
        "together",
        "openai/gpt-oss-120b",
        context_window=131_072,
        quality=82,
        strengths={"reasoning": 0.8, "coding": 0.75, "chat": 0.7, "speed": 0.6},
        typical_latency_ms=2_500,
        price_in_microusd=150_000,
        price_out_microusd=600_000,
    ),
    DeploymentSeed(
        "openai-gpt-4o",
        "openai",
        "gpt-4o",
        context_window=128_000,
        quality=88,
        strengths={"reasoning": 0.75, "coding": 0.8, "chat": 0.95, "speed": 0.5},
        typical_latency_ms=3_000,
        price_in_microusd=2_500_000,
        price_out_microusd=10_000_000,
    ),
    DeploymentSeed(
        "anthropic-claude-sonnet",
        "anthropic",
        "claude-sonnet-5",
        context_window=1_000_000,
        quality=95,
        strengths={"reasoning": 0.95, "coding": 1.0, "chat": 0.95, "speed": 0.4},
        typical_latency_ms=4_000,
        price_in_microusd=2_000_000,
        price_out_microusd=10_000_000,
    ),
    DeploymentSeed(
        "bedrock-claude-sonnet",
        "bedrock",
        "anthropic.claude-sonnet-5",
        context_window=1_000_000,
        quality=95,
        strengths={"reasoning": 0.95, "coding": 1.0, "chat": 0.95, "speed": 0.35},
        typical_latency_ms=4_500,
        price_in_microusd=2_000_000,
        price_out_microusd=10_000_000,
    ),
    DeploymentSeed(
        "ollama-llama",
        "ollama",
        "llama3.2:1b",
        context_window=8_192,
        quality=35,
        strengths={"reasoning": 0.15, "coding": 0.2, "chat": 0.4, "speed": 0.4},
        typical_latency_ms=5_000,
        more={"capacity": 4, "connect_timeout_ms": 500},
    ),
    DeploymentSeed(
        "embedded-smollm2",
        "embedded",
        "smollm2-135m",
        context_window=2_048,
        quality=10,
        strengths={"reasoning": 0.05, "coding": 0.05, "chat": 0.2, "speed": 0.4},
        typical_latency_ms=4_500,
        more={"capacity": 4},
    ),
    DeploymentSeed(
        "vllm-llama-3-1-8b",
        "vllm",
        "meta-llama/Llama-3.1-8B-Instruct",
        context_window=131_072,
        quality=58,
        strengths={"reasoning": 0.35, "coding": 0.4, "chat": 0.6, "speed": 0.7},
        typical_latency_ms=3_000,
        more={"capacity": 32},
    ),
    DeploymentSeed(
        "mock-fast",
        "mock",
        "mock-1",
        context_window=128_000,
        quality=0,
        strengths={},
        typical_latency_ms=60,
        price_in_microusd=150_000,
        price_out_microusd=600_000,
        more={"capacity": 64, "options": {"mean_ms": 40, "p95_ms": 120, "error_rate": 0.005, "seed": 7}},
    ),
    DeploymentSeed(
        "mock-1b",
        "mock",
        "mock-1b",
        context_window=8_192,
        quality=0,
        strengths={},
        typical_latency_ms=20,
        more={"capacity": 64, "options": {"mean_ms": 20, "p95_ms": 40, "seed": 1}},
    ),
    DeploymentSeed(
        "mock-3b",
        "mock",
        "mock-3b",
        context_window=8_192,
        quality=0,
        strengths={},
        typical_latency_ms=50,
        more={"capacity": 64, "options": {"mean_ms": 50, "p95_ms": 100, "seed": 3}},
    ),
    DeploymentSeed(
        "minilm",
        "minilm",
        "all-MiniLM-L6-v2",
        context_window=256,
        quality=40,
        strengths={},
        typical_latency_ms=10,
        more={"capacity": 4, "serves": "embeddings"},
    ),
)

ROUTES = (
    RouteSeed("local-ollama", ("ollama-llama", "embedded-smollm2")),
    RouteSeed("mock", ("mock-fast",)),
    RouteSeed("1b", ("mock-1b",), path="1b"),
    RouteSeed("3b", ("mock-3b",), path="3b"),
    RouteSeed("ab-test", ("mock-1b", "mock-3b"), path="ab-test", shares=(70, 30)),
    RouteSeed(
        "auto",
        (
            "openrouter-deepseek-r1",
            "groq-llama-3-3-70b",
            "cloudflare-llama-3-1-8b",
            "nvidia-llama-3-3-70b",
            "mistral-small",
            "ollama-llama",
            "embedded-smollm2",
        ),
        policy="auto",
    ),
    RouteSeed("minilm", ("minilm",)),
)

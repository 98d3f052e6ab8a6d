"""The contract that clients see, kept by both shells: every case runs through each."""

from typing import Any

import openai
import pytest


@pytest.fixture(scope="module", params=["express", "drf"])
def base(request: Any, shells: Any, workers: None) -> str:
    return str(shells.url(request.param))


@pytest.fixture(scope="module")
def key(tenant_a: Any) -> str:
    from tenants.services import create_api_key

    return create_api_key(tenant=tenant_a, name="contract")[1]


@pytest.fixture
def client(base: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)


def test_an_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="mock", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content
    assert answer.usage and answer.usage.total_tokens > 0

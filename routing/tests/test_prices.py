"""Prices from the public list: read without trusting it, applied where nobody set another by hand."""

import gzip
import json
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from conftest import unique
from routing.core.prices import MAX_PRICE_MICROUSD, NotAPriceList, Price, read_prices
from routing.management.commands.import_prices import SHIPPED
from routing.models import Deployment, Provider

GOOD: dict[str, Any] = {
    "litellm_provider": "openai",
    "mode": "chat",
    "input_cost_per_token": 2.5e-06,
    "output_cost_per_token": 1e-05,
    "max_input_tokens": 128_000,
}


def listed(**entries: Any) -> bytes:
    return json.dumps(entries).encode()


def test_prices_are_whole_microdollars_per_million_tokens() -> None:
    assert read_prices(listed(model=GOOD)).prices == {"model": Price("openai", 2_500_000, 10_000_000, 128_000)}


@given(st.integers(0, MAX_PRICE_MICROUSD))
def test_no_price_is_rounded_away_on_its_way_through_a_float(price: int) -> None:
    entry = {**GOOD, "input_cost_per_token": float(Decimal(price) / 10**12)}
    assert read_prices(listed(model=entry)).prices["model"].price_in == price


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("input_cost_per_token", -1e-06, "between"),
        ("input_cost_per_token", 0.011, "between"),
        ("output_cost_per_token", 1e300, "between"),
        ("output_cost_per_token", "1e-06", "number"),
        ("output_cost_per_token", True, "number"),
        ("output_cost_per_token", float("nan"), "number"),
        ("output_cost_per_token", float("inf"), "number"),
        ("max_input_tokens", "many", "tokens"),
        ("max_input_tokens", -1, "tokens"),
        ("max_input_tokens", float("nan"), "tokens"),
        ("litellm_provider", None, "provider"),
    ],
)
def test_an_entry_that_cannot_be_is_named_and_the_others_are_used(field: str, value: Any, word: str) -> None:
    found = read_prices(listed(good=GOOD, bad={**GOOD, field: value}))
    assert set(found.prices) == {"good"}
    assert word in found.problems["bad"]


def test_what_is_not_given_is_nothing_and_other_kinds_are_passed_over() -> None:
    bare = {"litellm_provider": "openai", "mode": "embedding", "output_cost_per_token": None}
    found = read_prices(listed(bare=bare, image={**GOOD, "mode": "image_generation"}, odd=[1]))
    assert found.prices == {"bare": Price("openai", 0, 0, 0)}
    assert set(found.problems) == {"odd"}


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b"5", b"\xff", b"[" * 100_000])
def test_what_is_no_list_is_refused(raw: bytes) -> None:
    with pytest.raises(NotAPriceList):
        read_prices(raw)


ODD: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["1", [], {}])


@given(st.dictionaries(st.sampled_from([*GOOD, "else"]), ODD))
def test_nothing_in_a_list_breaks_its_reading(document: dict[str, Any]) -> None:
    entries = {"a": {**GOOD, **document}, **document}
    found = read_prices(json.dumps(entries).encode())
    assert all(0 <= price.price_in <= MAX_PRICE_MICROUSD for price in found.prices.values())


def test_a_model_is_found_under_its_vendor_only() -> None:
    prices = read_prices(listed(model=GOOD, **{"groq/model": {**GOOD, "litellm_provider": "groq"}}))
    assert prices.find(("openai",), "model") == prices.prices["model"]
    assert prices.find(("azure", "groq"), "model") == prices.prices["groq/model"]
    assert prices.find(("azure",), "model") is None


def test_the_list_that_comes_along_is_sound_and_small() -> None:
    found = read_prices(gzip.decompress(SHIPPED.read_bytes()))
    assert len(found.prices) > 3_000 and not found.problems
    assert found.find(("openai",), "gpt-4o") == Price("openai", 2_500_000, 10_000_000, 128_000)
    assert SHIPPED.stat().st_size < 300_000


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def openai() -> Provider:
    return Provider.objects.create(slug=unique("openai"), base_url="https://api.openai.com/v1")


def deployment(provider: Provider, **values: Any) -> Deployment:
    return Deployment.objects.create(slug=unique("d"), provider=provider, **{"model": "gpt-4o", **values})


def run(*rows: Deployment, **options: Any) -> str:
    out = StringIO()
    call_command("import_prices", deployment=[row.slug for row in rows], stdout=out, stderr=out, **options)
    for row in rows:
        row.refresh_from_db()
    return out.getvalue()


@pytest.mark.django_db
def test_list_prices_are_set_and_shown(openai: Provider) -> None:
    row = deployment(openai, price_in_microusd=1)
    said = run(row, dry_run=True)
    assert "1 of 1 would change" in said and row.price_in_microusd == 1
    said = run(row)
    assert "$2.50 / $10.00" in said and "8,192 → 128,000" in said and "1 of 1 changed" in said
    assert (row.price_in_microusd, row.price_out_microusd, row.context_window) == (2_500_000, 10_000_000, 128_000)
    assert "0 of 1 changed" in run(row)


@pytest.mark.django_db
def test_prices_set_by_hand_are_kept_until_they_shall_not_be(openai: Provider) -> None:
    row = deployment(openai, price_in_microusd=7, price_by_hand=True)
    assert "kept, set by hand" in run(row)
    assert row.price_in_microusd == 7
    assert "changed" in run(row, overwrite=True)
    assert (row.price_in_microusd, row.price_by_hand) == (2_500_000, False)


@pytest.mark.django_db
def test_unknown_models_are_listed_and_servers_of_ones_own_are_not(openai: Provider) -> None:
    local = Provider.objects.create(slug=unique("local"), base_url="http://127.0.0.1:1", allow_private=True)
    unknown, own = deployment(openai, model="gpt-unheard-of"), deployment(local)
    said = run(unknown, own)
    assert "not in the list" in said and own.slug not in said
    assert unknown.context_window == 8_192


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "model", "price"),
    [("anthropic", "claude-sonnet-5", 2_000_000), ("bedrock", "amazon.nova-lite-v1:0", 60_000)],
)
def test_other_kinds_of_providers_have_prices_too(kind: str, model: str, price: int) -> None:
    provider = Provider.objects.create(slug=unique(kind), kind=kind, base_url="https://api.example.com")
    row = deployment(provider, model=model)
    (finding,) = json.loads(run(row, json=True))
    assert (finding["outcome"], finding["listed"]["price_in"], row.price_in_microusd) == ("changed", price, price)


@pytest.mark.django_db
def test_a_list_with_bad_entries_is_used_as_far_as_it_is_good(openai: Provider, tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    bad = {f"bad-{number}": {**GOOD, "input_cost_per_token": "x"} for number in range(25)}
    path.write_bytes(listed(**{"gpt-4o": {**GOOD, "input_cost_per_token": 1e-06}}, **bad))
    row = deployment(openai)
    said = run(row, file=path)
    assert row.price_in_microusd == 1_000_000
    assert "'bad-0' is not used: input_cost_per_token is not a number." in said and "5 more entries" in said


@pytest.mark.django_db
@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8bnothing", gzip.compress(b"[1]", mtime=0), gzip.compress(b"x" * 100, mtime=0)[:20]]
)
def test_a_file_that_is_no_list_says_so(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "prices.json.gz"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=r"prices\.json\.gz"):
        run(file=path)


@pytest.mark.django_db
def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        run(file=tmp_path / "none.json")
    with pytest.raises(CommandError, match="no deployment unheard-of"):
        call_command("import_prices", deployment=["unheard-of"])

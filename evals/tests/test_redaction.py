from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core.redaction import redacted, told


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Write to ada.lovelace+x@mail.example.co.uk today", "Write to [e-mail] today"),
        ("My key is sk-relay-0ZAYxrJq2k3m_abcdefGHIJ0123", "My key is [secret]"),
        ("export AWS_KEY=AKIAIOSFODNN7EXAMPLE now", "export AWS_KEY=[secret] now"),
        ("ghp_0123456789abcdefABCDEF0123456789abcd", "[secret]"),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl!", "Bearer [secret]!"),
        ("token 9f86d081884c7d659a2feaa0c55ad015 ends", "token [secret] ends"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\ndef\n-----END RSA PRIVATE KEY-----\nbye", "[secret]\nbye"),
        ("-----BEGIN PRIVATE KEY-----\nabc, cut off", "[secret]"),
        ("Call +49 (30) 1234-567 or (555) 123-4567.", "Call [phone] or [phone]."),
        ("Tel. 030 1234567", "Tel. [phone]"),
        ("Card 4111 1111 1111 1111, please", "Card [number], please"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [account]"),
        ("Account 1234567890", "Account [number]"),
    ],
)
def test_what_may_name_somebody_or_open_a_door_is_taken_out(text: str, clean: str) -> None:
    assert redacted(text)[0] == clean


@pytest.mark.parametrize(
    "text",
    [
        "In 2023 about 12,500,000 people paid 99.95 for 3 x 4 = 12",
        "pneumonoultramicroscopicsilicovolcanoconiosis",
        "Version 1.2.3 of RFC 2616, section 14.9.1",
        "skate-boarding @home",
        "2026-11-21 15:04",
    ],
)
def test_what_is_harmless_stays(text: str) -> None:
    assert redacted(text) == (text, {})


def test_all_texts_of_a_request_are_looked_at_and_its_words_stay() -> None:
    asked: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "I am ada@example.com"}]},
            {"role": "user", "content": "call 555-123-4567, or bob@example.com"},
        ],
        "max_tokens": 1234567890,
        "stop": None,
    }
    clean, found = redacted(asked)
    assert clean["messages"][0]["content"][0]["text"] == "I am [e-mail]"
    assert clean["messages"][1]["content"] == "call [phone], or [e-mail]"
    assert (clean["max_tokens"], clean["stop"], clean["messages"][0]["role"]) == (1234567890, None, "user")
    assert told(found) == "Taken out: 2 e-mail addresses, 1 phone numbers."
    assert told({}) == "Nothing had to be taken out."


@given(st.text(), st.from_regex(r"[a-z]{1,9}@[a-z]{1,9}\.(com|org)", fullmatch=True), st.text())
def test_no_address_survives_in_any_surroundings(before: str, address: str, after: str) -> None:
    assert address not in redacted(f"{before} {address} {after}")[0]


@given(st.text(max_size=300))
def test_again_takes_out_nothing_more(text: str) -> None:
    once, _ = redacted(text)
    assert redacted(once)[0] == once

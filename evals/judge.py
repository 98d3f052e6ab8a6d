"""A model as judge, asked through Relay itself like any client's, so that its cost is on the tenant's account."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from openai import APIError, APIStatusError, AsyncOpenAI

from evals.core.case import NO_REFERENCE, Case, Score
from evals.core.judging import (
    AWAY,
    Messages,
    ask_to_compare,
    ask_to_grade,
    read_grade,
    read_verdict,
    score_of_grade,
    score_of_pair,
    unreadable,
)
from evals.core.scorers import Scorer
from evals.similarity import NO_BASELINE

PATIENCE = 5  # failures in a row after which it is not asked any more
LONGEST_REPLY = 1024  # tokens; a judge may think before its last line
SEED = 7
TIMEOUT_S = 300.0
NAMED = {"baseline": "the baseline's answer", "reference": "the reference"}
log = logging.getLogger("relay.evals")


class JudgeAway(Exception):
    """The message says why, in words of Relay's API."""


@dataclass(slots=True)
class Judged:
    """What is kept of one judgement. ``verdicts``: in both orders, once both could be read. Tokens are those of all
    calls that answered, and ``traces`` their ids."""

    against: str  # baseline | reference | nothing
    verdicts: list[str] = field(default_factory=list)
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    traces: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Judge:
    """One of a run or a canary. ``about``: what tells its questions from all others, for their Idempotency-Keys: a
    question that was paid for before a worker died is not paid for again."""

    def __init__(self, scorer: Scorer, *, url: str, key: str, about: str, retries: int = 3) -> None:
        self.scorer = scorer
        self._client = AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=retries, timeout=TIMEOUT_S)
        self._about = f"{about}/{scorer.name}"
        self._failed = 0  # in a row

    async def close(self) -> None:
        await self._client.close()

    async def judge(self, result: int | str, case: Case) -> tuple[Score, Judged]:
        """``result``: its id, or that of the trace which holds the answer."""
        against, other = _opponent(case, str(self.scorer.options["against"]))
        judged = Judged(against)
        if against in NAMED and other is None:
            return Score(None, NO_BASELINE if against == "baseline" else NO_REFERENCE), judged
        try:
            if other is None:
                return await self._grade(result, case, judged), judged
            return await self._compare(result, case, other, judged), judged
        except JudgeAway as error:
            return Score(None, f"{AWAY}: {error}"[:500]), judged

    async def _compare(self, result: int | str, case: Case, other: str, judged: Judged) -> Score:
        verdicts = []
        for candidate_first in (True, False):
            messages = ask_to_compare(case, other, candidate_first=candidate_first, criteria=self._criteria)
            reply = await self._ask(messages, f"{result}/{'AB' if candidate_first else 'BA'}", judged)
            verdict = read_verdict(reply, candidate_first=candidate_first)
            if verdict is None:
                return unreadable(reply)
            verdicts.append(verdict)
        judged.verdicts = [str(verdict) for verdict in verdicts]
        return score_of_pair(verdicts[0], verdicts[1], NAMED[judged.against])

    async def _grade(self, result: int | str, case: Case, judged: Judged) -> Score:
        reply = await self._ask(ask_to_grade(case, self._criteria), f"{result}/alone", judged)
        grade = read_grade(reply)
        return unreadable(reply) if grade is None else score_of_grade(grade)

    @property
    def _criteria(self) -> str:
        return str(self.scorer.options["criteria"])

    async def _ask(self, messages: Messages, name: str, judged: Judged) -> str:
        """Its whole reply. Raises JudgeAway."""
        if self._failed >= PATIENCE:
            raise JudgeAway(f"it failed {PATIENCE} times in a row")
        try:
            reply = await self._client.chat.completions.with_raw_response.create(
                model=str(self.scorer.options["route"]),
                messages=messages,  # type: ignore[arg-type] # plain roles and texts
                temperature=0,
                seed=SEED,
                max_tokens=LONGEST_REPLY,
                extra_headers=self._headers(name),
            )
            completion = reply.parse()
        except APIError as error:
            self._failed += 1
            raise JudgeAway(_said(error)) from None
        self._failed = 0
        _note(judged, reply.headers, completion.usage)
        return (completion.choices[0].message.content or "") if completion.choices else ""

    def _headers(self, name: str) -> dict[str, str]:
        """No cache: another row's verdict must not be taken for this one's, nor verdicts be stored beside answers."""
        return {
            "Idempotency-Key": f"{self._about}/{name}",
            "x-relay-cache": "no-store",
            "x-relay-departure": "finish",
            "x-relay-metadata": "purpose=judge",
        }


def _opponent(case: Case, against: str) -> tuple[str, str | None]:
    """What it is compared with, and its text."""
    texts = {"baseline": case.baseline, "reference": case.reference, "nothing": None}
    if against == "auto":
        against = next((name for name in NAMED if texts[name] is not None), "nothing")
    return against, texts[against]


def _note(judged: Judged, headers: Mapping[str, str], usage: Any) -> None:
    judged.calls += 1
    if trace := headers.get("x-relay-trace-id"):
        judged.traces.append(trace)
    if usage is not None:
        judged.tokens_in += usage.prompt_tokens
        judged.tokens_out += usage.completion_tokens


def _said(error: Exception) -> str:
    if isinstance(error, APIStatusError):
        body = error.body
        said = body.get("message") if isinstance(body, dict) else None
        return f"{error.status_code}, {said or error.message}"
    return type(error).__name__

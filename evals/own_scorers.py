"""The operator's own scorers, by dotted path.

Whoever may start a run names the path, so it must not lead to any other code: only functions and classes that are
defined below a module of RELAY_EVAL_SCORERS, not what such a module has merely imported.
"""

import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from importlib import import_module
from threading import Thread

from evals.core.case import Case, Score

Own = Callable[[Case], float | Score | None]
NOT_THERE = "There is no such scorer."
PATIENCE_S = 30.0  # of one call: a function that hangs would keep the worker from every other run
log = logging.getLogger("relay.evals")
_late: dict[str, Thread] = {}  # by path: a call that took too long and may still be at it


class _Late(Exception):
    pass


def score_by(path: str, case: Case, allowed: Sequence[str], patience_s: float = PATIENCE_S) -> Score:
    """What the function makes of it; its mistakes are a remark, told in full in the log without the answer."""
    try:
        own = own_scorer(path, allowed)
        if own is None:
            return Score(None, NOT_THERE)
        said = _called(path, own, case, patience_s)
    except _Late:
        log.warning("the scorer %s hangs", path)
        return Score(None, f"The scorer took longer than {patience_s:g} s, for this answer or one before.")
    except (Exception, SystemExit) as error:  # sys.exit() would end the worker, and the next one, and so on
        log.warning("the scorer %s failed: %s", path, type(error).__name__)
        return Score(None, f"The scorer failed ({type(error).__name__}).")
    return _read(said)


def _called(path: str, own: Own, case: Case, patience_s: float) -> float | Score | None:
    """Raises what it raises, and _Late also while an earlier call hangs: each would take one more thread for ever."""
    if path in _late and _late[path].is_alive():
        raise _Late
    told: Future[float | Score | None] = Future()

    def call() -> None:
        try:
            told.set_result(own(case))
        except BaseException as error:
            told.set_exception(error)

    thread = Thread(target=call, name=path, daemon=True)
    thread.start()
    thread.join(patience_s)
    if thread.is_alive():
        _late[path] = thread
        raise _Late
    return told.result()


def own_scorer(path: str, allowed: Sequence[str]) -> Own | None:
    """None: nothing that may be called is there."""
    module, _, name = path.rpartition(".")
    if not _below(module, allowed) or any(part.startswith("_") for part in path.split(".")):
        return None
    try:
        found = getattr(import_module(module), name, None)
    except ImportError:
        return None
    if not callable(found) or not _below(getattr(found, "__module__", None) or "", allowed):
        return None
    own: Own = found
    return own


def _below(module: str, allowed: Sequence[str]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in allowed)


def _read(said: object) -> Score:
    if isinstance(said, Score):
        return said
    if said is None:
        return Score(None, "It has nothing to say.")
    if isinstance(said, bool | int | float) and math.isfinite(said) and 0 <= said <= 1:
        return Score(float(said), f"{float(said):.3g}, by own code.")
    return Score(None, "The scorer gave no number from 0 to 1.")

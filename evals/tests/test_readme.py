"""The README's workflow for CI is valid, and its commands take the options it gives them."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands, load_command_class

README = Path(__file__).parents[2] / "README.md"
WORKFLOW = yaml.safe_load(
    re.findall(r"```yaml\n(name: evals\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[0]
)
STEPS = WORKFLOW["jobs"]["gate"]["steps"]
LINES = [line for step in STEPS for line in step.get("run", "").splitlines()]
COMMANDS = [line.partition("manage.py ")[2].partition(" ||")[0] for line in LINES if "manage.py " in line]


def test_the_workflow_is_one() -> None:
    assert WORKFLOW["jobs"]["gate"]["runs-on"] and all("run" in step or "uses" in step for step in STEPS)
    assert [command.split()[0] for command in COMMANDS] == [
        *("policy_import", "policy_import", "eval_candidate", "eval_gate")
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_take_their_options(command: str) -> None:
    name, *arguments = shlex.split(command)
    found = load_command_class(get_commands()[name], name)
    found.create_parser("manage.py", name).parse_args(arguments)

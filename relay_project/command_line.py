"""``manage.py``'s commands: Relay's own in a section of their own, and each run named in the audit log."""

import getpass
from collections.abc import Mapping

from django.core.management import ManagementUtility, get_commands
from django.core.management.base import BaseCommand
from django.core.management.color import color_style

OURS = ("relay_project", "tenants", "routing", "caching", "scheduling", "traces", "evals")
SECTION = "relay"


class CommandLine(ManagementUtility):
    def main_help_text(self, commands_only: bool = False) -> str:
        if commands_only:
            return super().main_help_text(commands_only=True)
        sections = by_section(get_commands())
        style = color_style()
        lines = ["", f"Type '{self.prog_name} help <subcommand>' for help on a specific subcommand.", ""]
        for section, names in sections.items():
            lines += [style.NOTICE(f"[{section}]"), *(f"    {name}" for name in names), ""]
        return "\n".join(lines)


def by_section(commands: Mapping[str, BaseCommand | str]) -> dict[str, list[str]]:
    """Command names by the app that has them; Relay's own first and together."""
    found: dict[str, list[str]] = {SECTION: []}
    for name, app in sorted(commands.items()):
        path = app if isinstance(app, str) else app.__module__
        section = SECTION if path.partition(".")[0] in OURS else path.rpartition(".")[-1]
        found.setdefault(section, []).append(name)
    return {section: found[section] for section in [SECTION, *sorted(found.keys() - {SECTION})]}


def who_runs(command: str) -> str:
    """As the audit log names it: “ada: create_api_key”."""
    try:
        return f"{getpass.getuser()}: {command}"
    except (KeyError, OSError):  # a container's user may have no name
        return command

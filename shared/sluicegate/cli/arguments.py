"""What can be typed. Each command names its function as text, so that nothing is loaded to parse."""

import argparse
import sys
from pathlib import Path
from typing import Any, NoReturn

from sluicegate.cli.audit_arguments import add_audit

_GROUPS = (
    "model", "provider", "version", "requested_model", "workspace", "user", "key", "agent", "mission", "task",
    "tool", "cache", "outcome", "hour", "day", "month",
)  # fmt: skip
_PERIODS = ("hour", "day", "month")
_PLANS = ("free", "pro", "studio", "enterprise")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message}; see {self.prog} --help\n")
        sys.exit(2)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line. A parsed command has `run`: `module:function`."""
    parser = _Parser(prog="sluicegate", description="Operate a Sluicegate gateway.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _dev(commands)
    _keys(_group(commands, "keys", "make, list, rotate and revoke API keys"))
    _budget(_group(commands, "budget", "see budgets and set them at run time"))
    _spend(commands)
    _ledger(_group(commands, "ledger", "keep the ledger"))
    _events(_group(commands, "events", "see events, and those that could not be applied"))
    add_audit(_group(commands, "audit", "read, export and verify the transparency log"), _command, _tenant)
    _cache(_group(commands, "cache", "make stored answers void"))
    _policy(_group(commands, "policy", "check the policy files"))
    _token(_group(commands, "token", "issue tokens with the local key, for trying things out"))
    _route(_group(commands, "route", "explain which model would answer"))
    _doctor(commands)
    return parser


def _dev(commands: Any) -> None:
    dev = _command(commands, "dev", "dev:run", "start everything on one port of this machine")
    dev.add_argument("--port", type=int, default=8080, metavar="N", help="default: 8080; 0 for any free one")
    dev.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1")
    dev.add_argument(
        "--redis",
        default="auto",
        choices=("auto", "server", "embedded"),
        help="where REDIS_URL is not set: a private redis-server if installed (auto), or the embedded one",
    )


def _doctor(commands: Any) -> None:
    doctor = _command(
        commands,
        "doctor",
        "doctor:examine",
        "say what is reachable, permitted, fresh and expired, and the remedy",
    )
    doctor.add_argument("--offline", action="store_true", help="ask nothing beyond this machine and Redis")


def _group(commands: Any, name: str, help_text: str) -> Any:
    group = commands.add_parser(name, help=help_text, description=help_text.capitalize() + ".")
    return group.add_subparsers(required=True, metavar="COMMAND")


def _command(commands: Any, name: str, run: str, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help_text, description=help_text[:1].upper() + help_text[1:] + "."
    )
    parser.set_defaults(run=f"sluicegate.cli.{run}")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="the local data folder (default: .sluicegate)"
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    return parser


def _tenant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", default="default", metavar="NAME", help="default: default")


def _keys(commands: Any) -> None:
    create = _command(commands, "create", "keys:create", "make a key and show it, once")
    _tenant(create)
    create.add_argument("--workspace", default="default", metavar="NAME", help="default: default")
    create.add_argument("--user", default="default", metavar="NAME", help="default: default")
    create.add_argument("--name", default="", help="what it is for")
    create.add_argument("--role", action="append", metavar="ROLE", help="may be repeated")
    create.add_argument(
        "--permission",
        action="append",
        metavar="PERMISSION",
        help="narrow the roles to this; may be repeated",
    )
    create.add_argument(
        "--model", action="append", default=[], metavar="PATTERN", help="allow only these; may be repeated"
    )
    create.add_argument("--plan", default="free", choices=_PLANS, help="default: free")
    create.add_argument(
        "--timezone", default="UTC", metavar="ZONE", help="of its budgets' days (default: UTC)"
    )
    create.add_argument("--expires", metavar="AGE", help="such as 12h or 90d; default: never")

    _tenant(_command(commands, "list", "keys:show", "list a tenant's keys"))

    rotate = _command(commands, "rotate", "keys:rotate", "give a key a new secret and show it, once")
    _tenant(rotate)
    rotate.add_argument("key", metavar="KEY_ID")
    rotate.add_argument("--overlap", metavar="AGE", help="how long the old one works on, such as 24h or 0s")

    revoke = _command(commands, "revoke", "keys:revoke", "end a key now, on all instances")
    _tenant(revoke)
    revoke.add_argument("key", metavar="KEY_ID")
    revoke.add_argument("--reason", metavar="TEXT")


def _budget(commands: Any) -> None:
    _tenant(_command(commands, "show", "budget:show", "show budgets, what is spent and what is held"))
    setting = _command(commands, "set", "budget:set_limit", "set a budget's limit, over the policy's")
    _tenant(setting)
    setting.add_argument("budget", metavar="SCOPE/NAME", help="such as workspace/growth or key/*")
    setting.add_argument("period", choices=("hour", "day", "month", "total"))
    setting.add_argument("limit", metavar="USD", help="such as 12.50; 'policy' goes back to the policy's")


def _spend(commands: Any) -> None:
    spend = _command(commands, "spend", "spend:show", "show where the money went")
    _tenant(spend)
    spend.add_argument(
        "--by",
        default=["model"],
        type=_groups,
        metavar="NAME[,NAME]",
        help=f"default: model; {', '.join(_GROUPS)}",
    )
    spend.add_argument("--per", choices=_PERIODS, help="one sum for each of these, too")
    spend.add_argument(
        "--where", action="append", default=[], metavar="NAME=VALUE", help="only these; may be repeated"
    )
    spend.add_argument("--limit", type=int, default=1_000, metavar="N", help="lines at most (default: 1000)")
    spend.add_argument(
        "--distribution", action="store_true", help="which models answered, per hour (or as --per says)"
    )
    when = "a date (2026-11-20), a time (2026-11-20T14:00Z), or how long ago (36h, 7d)"
    spend.add_argument("--since", metavar="WHEN", help=f"{when}; default: this month's first day, UTC")
    spend.add_argument("--until", metavar="WHEN", help=f"{when}; default: now")


def _groups(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in _GROUPS]
    if unknown:
        raise argparse.ArgumentTypeError(f"invalid choice: {unknown[0]!r} (choose from {', '.join(_GROUPS)})")
    return names


def _events(commands: Any) -> None:
    dead = commands.add_parser("dead", help="events that could not be applied", description="Dead letters.")
    letters = dead.add_subparsers(required=True, metavar="COMMAND")
    listing = _command(letters, "list", "events:list_dead", "list dead letters, oldest first")
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="default: 100")
    showing = _command(letters, "show", "events:show_dead", "show one whole, with its event")
    showing.add_argument("id", metavar="ID")
    replaying = _command(letters, "replay", "events:replay_dead", "deliver dead letters again")
    dropping = _command(letters, "drop", "events:drop_dead", "forget dead letters")
    for command in (replaying, dropping):
        command.add_argument("ids", nargs="*", metavar="ID")
        command.add_argument("--all", action="store_true", help="all of them")
    for command in (listing, replaying, dropping):
        command.add_argument("--group", metavar="NAME", help="only of this consumer group")
    tailing = _command(commands, "tail", "events:tail", "show events as they come, until interrupted")
    tailing.add_argument("--type", metavar="TYPE", help="only of this type")
    tailing.add_argument("--count", type=int, metavar="N", help="end after so many")
    for command in (listing, showing, replaying, dropping, tailing):
        command.add_argument("--tenant", metavar="NAME", help="only of this tenant")
    _command(commands, "groups", "events:groups", "show how far each consumer group is")


def _cache(commands: Any) -> None:
    voiding = _command(commands, "invalidate", "cache:invalidate", "make stored answers void, at once")
    _tenant(voiding)
    voiding.add_argument(
        "--event",
        metavar="EVENT",
        help="those that this event voids, such as feedback_received or code_changed",
    )
    voiding.add_argument("--workspace", metavar="NAME", help="only those of this workspace")


def _ledger(commands: Any) -> None:
    consumer = _command(
        commands, "run", "ledger:run_consumer", "take usage events to the ledger until interrupted"
    )
    consumer.add_argument("--parent", type=int, metavar="PID", help="end when this process does (Linux)")


def _policy(commands: Any) -> None:
    _command(commands, "check", "policy:check", "check every policy file in force")


def _token(commands: Any) -> None:
    issue = _command(commands, "issue", "token:issue", "issue a token signed with the local key")
    _tenant(issue)
    issue.add_argument("--workspace", default="default", metavar="NAME", help="default: default")
    issue.add_argument("--user", default="default", metavar="NAME", help="default: default")
    issue.add_argument("--role", action="append", metavar="ROLE", help="default: ai_service; may be repeated")
    issue.add_argument("--plan", default="free", choices=_PLANS, help="default: free")
    issue.add_argument("--timezone", default="UTC", metavar="ZONE", help="default: UTC")
    issue.add_argument("--expires", metavar="AGE", help="such as 10m; default: the policy's longest (1h)")
    _command(commands, "jwks", "token:jwks", "print the local key's public JSON Web Key Set")


def _route(commands: Any) -> None:
    explain = _command(
        commands, "explain", "route:explain", "say which models would answer, and why not others"
    )
    explain.add_argument("model", nargs="?", default="auto", help="a model, an alias or auto (default)")
    explain.add_argument("--task", metavar="NAME")
    explain.add_argument("--quality", type=float, metavar="0..1", help="the least quality to accept")
    explain.add_argument("--max-cost-usd", metavar="USD", help="the most one request may cost")
    explain.add_argument("--prompt", default="", help="judged for its complexity, for auto")
    explain.add_argument("--input-tokens", type=int, default=1_000, metavar="N", help="default: 1000")
    explain.add_argument("--output-tokens", type=int, default=500, metavar="N", help="default: 500")
    explain.add_argument("--needs", action="append", default=[], metavar="CAPABILITY", help="may be repeated")
    explain.add_argument("--strategy", metavar="NAME")

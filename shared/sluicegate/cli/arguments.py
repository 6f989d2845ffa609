"""What can be typed. Each command names its function as text, so that nothing is loaded to parse."""

import argparse
import sys
from pathlib import Path
from typing import Any, NoReturn

_GROUPS = (
    "model", "provider", "workspace", "user", "key", "agent", "mission", "task", "tool", "cache", "outcome",
    "day", "hour",
)  # fmt: skip
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
    _cache(_group(commands, "cache", "make stored answers void"))
    _policy(_group(commands, "policy", "check the policy files"))
    _token(_group(commands, "token", "issue tokens with the local key, for trying things out"))
    _route(_group(commands, "route", "explain which model would answer"))
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
    spend.add_argument("--by", default="model", choices=_GROUPS, help="default: model")
    when = "a date (2026-11-20), a time (2026-11-20T14:00Z), or how long ago (36h, 7d)"
    spend.add_argument("--since", metavar="WHEN", help=f"{when}; default: this month's first day, UTC")
    spend.add_argument("--until", metavar="WHEN", help=f"{when}; default: now")


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

"""What a release does to the world: commands, requests, queries, waiting. All of it behind one door."""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Protocol

_LONGEST_REQUEST = 10


class CommandFailedError(Exception):
    """A command ended with another status than 0; the message is the command and the end of its output."""


class World(Protocol):
    """What the steps of a release need."""

    def run(self, *command: str) -> str:
        """The output of `command`.

        Raises:
            CommandFailedError: its status is not 0.
        """
        ...

    def status(self, url: str, headers: dict[str, str]) -> int:
        """The status of a GET; 0 if nobody answered."""
        ...

    def query(self, project: str, promql: str) -> float | None:
        """The value of a query at Cloud Monitoring; None if there is none."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def say(self, text: str) -> None:
        """Tell the operator."""
        ...


class Machine:
    """The real one: gcloud and pulumi as installed, signed in as whoever runs this."""

    def run(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
        if done.returncode:
            raise CommandFailedError(f"{' '.join(command)}: {(done.stderr or done.stdout)[-2_000:].strip()}")
        return done.stdout.strip()

    def status(self, url: str, headers: dict[str, str]) -> int:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - https, by `Release`
        try:
            with urllib.request.urlopen(request, timeout=_LONGEST_REQUEST) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def query(self, project: str, promql: str) -> float | None:
        token = self.run("gcloud", "auth", "print-access-token")
        place = (
            f"https://monitoring.googleapis.com/v1/projects/{project}/location/global/prometheus/api/v1/query"
        )
        request = urllib.request.Request(  # noqa: S310 - https
            f"{place}?{urllib.parse.urlencode({'query': promql})}",
            headers={"Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=_LONGEST_REQUEST) as answer:  # noqa: S310
            found = json.load(answer)["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def say(self, text: str) -> None:
        print(text, flush=True)  # noqa: T201 - it is the operator who runs this

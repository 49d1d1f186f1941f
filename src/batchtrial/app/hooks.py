"""What a run calls when its process ends: a command, a webhook. Neither can hold the process up for long, nor change how it ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from batchtrial import __version__
from batchtrial.app.ending import Ending, body
from batchtrial.app.invocation import ON_END_VARIABLE, WEBHOOK_VARIABLE
from batchtrial.errors import ConfigError
from batchtrial.providers.registry import key_variables

WEBHOOK_SECONDS: Final = 10.0
COMMAND_SECONDS: Final = 60.0
SLACK: Final = "hooks.slack.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What is called. The address of a webhook is a secret: it is written nowhere, and messages name its host alone."""

    command: str | None = None
    webhook: str | None = None
    webhook_seconds: float = WEBHOOK_SECONDS
    command_seconds: float = COMMAND_SECONDS

    def call(self, ending: Ending, env: Mapping[str, str]) -> list[str]:
        """Call them. Returns a line for each that did not go well; raises nothing."""
        said = []
        if self.webhook is not None:
            said.append(post(self.webhook, ending, self.webhook_seconds))
        if self.command is not None:
            said.append(run_command(self.command, ending, env, self.command_seconds))
        return [line for line in said if line]


def hooks_of(command: str | None, webhook: str | None, env: Mapping[str, str]) -> Hooks:
    """The hooks by flag, or else by environment. Raises ConfigError for an address that is none."""
    webhook = webhook or env.get(WEBHOOK_VARIABLE) or None
    if webhook is not None:
        try:
            parts = urlsplit(webhook)
            is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            is_one = False
        if not is_one or not webhook.isascii() or any(c.isspace() for c in webhook):
            raise ConfigError("the webhook is no address", where=f"--webhook or ${WEBHOOK_VARIABLE}", hint="it begins with https:// or http://")
    return Hooks(command=command or env.get(ON_END_VARIABLE) or None, webhook=webhook)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: what is posted goes to the address that was given, or nowhere."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def post(url: str, ending: Ending, seconds: float) -> str:
    """Post how the run ended. Returns what went wrong, empty when nothing did. seconds: for all of it."""
    host = urlsplit(url).hostname or ""
    data = body(ending, is_slack=host == SLACK)
    said: list[str] = []

    def call() -> None:
        headers = {"Content-Type": "application/json", "User-Agent": f"batchtrial/{__version__}"}
        try:
            request = urllib.request.Request(url, data=data, headers=headers, method="POST")
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds):
                said.append("")
        except urllib.error.HTTPError as error:
            said.append(f"it answered {error.code}" + (", and redirects are not followed" if 300 <= error.code < 400 else ""))
            error.close()
        except (OSError, ValueError, http.client.HTTPException) as error:
            # Of an address or a proxy that is wrong, the error would quote the address.
            reason = getattr(error, "reason", error)
            said.append(f"it could not be reached ({type(reason).__name__})")

    # A server that sends a byte at a time outlasts every time-out of a socket; a thread can be left behind.
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    problem = said[0] if said else f"it did not answer within {seconds:g} s"
    return f"the webhook at {host} was not told: {problem}" if problem else ""


def run_command(command: str, ending: Ending, env: Mapping[str, str], seconds: float) -> str:
    """Run the command in a shell, with how the run ended on its standard input and in its environment. Returns what went wrong."""
    secret = {*key_variables(), WEBHOOK_VARIABLE}
    told = {"BATCHTRIAL_RUN_ID": ending.run_id, "BATCHTRIAL_OUTCOME": ending.outcome, "BATCHTRIAL_EXIT_CODE": str(ending.exit_code)}
    child_env = {name: value for name, value in env.items() if name not in secret} | told | {"BATCHTRIAL_TEXT": ending.text()}
    try:
        # Standard output is for the run's own result.
        child = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=2, env=child_env, start_new_session=True)
    except OSError as error:
        return f"--on_end could not be run: {error.strerror}"
    try:
        child.communicate(json.dumps(ending.as_json(), ensure_ascii=False).encode() + b"\n", timeout=seconds)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return f"--on_end did not end within {seconds:g} s and was ended"
    return f"--on_end ended with exit code {child.returncode}" if child.returncode else ""

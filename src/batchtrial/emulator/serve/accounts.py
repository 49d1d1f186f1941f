"""Whose call it is: every key opens an account of its own, and what one account has, no other account sees.

`someone@acme` is a key of the account `acme`, so that a new key for an old account can be tried too; `someone@acme/two` is one of the workspace `two`
of the same organisation. No key is kept: an account is known by a short digest of its name.
"""

from __future__ import annotations

from starlette.requests import Request

from batchtrial.emulator.world.draws import token
from batchtrial.emulator.world.world import World

DIGITS = 8
"""Of the digest: enough to tell the accounts of a world apart, too few to be anything else."""
EVERYBODY = ""
"""Owner of what was made before accounts were kept apart."""


def key_of(request: Request) -> str:
    """The key of a call, "" when it has none."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    named = next((request.headers[name] for name in ("x-api-key", "x-goog-api-key", "api-key") if request.headers.get(name)), "")
    return named or (bearer if scheme.lower() == "bearer" else "")


def name_of(key: str) -> str:
    """The account's name: what follows the last `@`, else the whole key."""
    return key.rpartition("@")[2]


def account_of(world: World, request: Request) -> str:
    """Digest of the account that the call's key belongs to."""
    return token("", world.seed, "account", name_of(key_of(request)), length=DIGITS)


def organization_of(world: World, request: Request) -> str:
    """Digest of the organisation that the account belongs to."""
    return token("", world.seed, "organization", name_of(key_of(request)).partition("/")[0], length=DIGITS)


def owner_of(world: World, name: str) -> str | None:
    """Who has the account of this name in its paths; None while nobody has created anything there."""
    return world.meta(f"owner of {name}")


def claim(world: World, name: str, account: str) -> None:
    """Make the account of this name the caller's, if it is nobody's."""
    if owner_of(world, name) is None:
        world.set_meta(f"owner of {name}", account)

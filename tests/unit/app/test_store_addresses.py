"""An address of a store holds no credentials, and names a place where something can stay."""

from __future__ import annotations

from contextlib import suppress

import pytest

from batchtrial.archive.store import stored
from batchtrial.errors import ConfigError, MissingExtra

SECRET = "wJal/XUt+nFEMI"


@pytest.mark.parametrize(
    "address",
    [
        f"s3://AKIA:{SECRET}@trials/x/",
        f"s3://AKIA:{SECRET}/trials/x/",
        f"sftp://me:{SECRET}@host:22/x/",
        f"https://host/run.zip?X-Amz-Signature={SECRET}",
        f"https://host/run.zip?a@b={SECRET}",
    ],
)
def test_credentials_are_refused_in_words_without_them(address: str) -> None:
    with pytest.raises(ConfigError, match="credentials do not belong") as told:
        stored(address)
    assert not any(piece in f"{told.value} {told.value.where} {told.value.hint}" for piece in (SECRET[:4], SECRET[5:], "AKIA"))


@pytest.mark.parametrize(("address", "words"), [("memory://a/x.zip", "goes with this process"), ("s3://trials/a//b/", "two slashes")])
def test_a_place_where_nothing_would_be_found_again_is_refused(address: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        stored(address)


@pytest.mark.parametrize(
    "address", ["s3://trials/me@work/x.zip", "s3://arn:aws:s3:eu-west-1:1:accesspoint/own/x.zip", "http://[::1]:9000/x.zip", "file:///tmp/x.zip"]
)
def test_addresses_that_look_alike_are_none_with_credentials(address: str) -> None:
    with suppress(MissingExtra):  # said last, once the address itself is well
        assert stored(address).address == address

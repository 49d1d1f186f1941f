"""Archives in object stores: reading one by ranges, sending one in pieces that a broken connection does not lose, and what a store's refusals mean.

Any store that fsspec knows will do. Credentials are the store's own business: they come from where its library looks for them, an address that holds
some is refused, and no error or file here has any.
"""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast

from batchtrial.errors import ConfigError, MissingExtra, RunnerError, RunStateMissing, StoreFailed

ENDING: Final = ".zip"
BYTES_AHEAD: Final = 4 * 2**20
"""Read at once: a request takes about as long as so many bytes."""
SHOWN_CHARS: Final = 200


class Source(Protocol):
    """An archive that can be read: a file of this machine, or an object in a store."""

    @property
    def is_there(self) -> bool:
        """Whether anything has this name. Raises StoreFailed."""

    @property
    def size(self) -> int:
        """Bytes."""

    def opened(self) -> IO[bytes]:
        """Its bytes, with seeking. Raises OSError, StoreFailed."""


@dataclass(frozen=True, slots=True)
class Local:
    """A file of this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def is_there(self) -> bool:
        return self.path.exists()

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def opened(self) -> IO[bytes]:
        return self.path.open("rb")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in a store, or a prefix. fs: fsspec's file system; path: as that names it; address: as people do, without what may be secret."""

    fs: Any
    path: str
    address: str

    def __str__(self) -> str:
        return self.address

    @property
    def is_there(self) -> bool:
        with told(self.address):
            self.fs.invalidate_cache()
            try:  # `isfile` takes a broken connection for an absence
                return bool(self.fs.info(self.path)["type"] == "file")
            except FileNotFoundError:
                return False

    @property
    def size(self) -> int:
        with told(self.address):
            return int(self.fs.info(self.path)["size"])

    def opened(self) -> IO[bytes]:
        with told(self.address):
            if self.fs.info(self.path)["type"] != "file":
                hint = f"name one of those that `batchtrial archive --list {shlex.quote(self.address)}` shows"
                raise RunStateMissing("this is a folder and no archive", where=self.address, hint=hint)
            file = self.fs.open(self.path, "rb", block_size=BYTES_AHEAD, cache_type="readahead")
        return cast(IO[bytes], io.BufferedReader(_Told(file, self.address), 2**16))

    def at(self, name: str) -> Stored:
        """An object under this prefix."""
        return Stored(self.fs, f"{self.path.rstrip('/')}/{name}", f"{self.address.rstrip('/')}/{name}")

    def archives(self) -> list[Stored]:
        """What may be archives under this prefix, by name; itself when it is one object."""
        with told(self.address):
            self.fs.invalidate_cache()
            if self.fs.isfile(self.path):
                return [self]
            found = self._names()
        root = self.path.rstrip("/")
        return [self.at(str(one).removeprefix(root).lstrip("/")) for one in sorted(found) if str(one).endswith(ENDING)]

    def _names(self) -> list[Any]:
        try:
            return list(self.fs.ls(self.path, detail=False))
        except FileNotFoundError:
            bucket = self.path.partition("/")[0]
            if bucket in ("", self.path.rstrip("/")):  # a folder of a machine, or a bucket itself
                raise
            self.fs.ls(bucket, detail=False)  # where the bucket is there, a folder without objects is none, and nothing is wrong
            return []


class _Told(io.RawIOBase):
    """A store's file whose errors say what a store refused."""

    def __init__(self, file: Any, address: str) -> None:
        self._file, self._address = file, address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        with told(self._address):
            data = self._file.read(len(into))
        into[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


def stored(address: str) -> Stored:
    """The object or prefix at an address. Raises ConfigError, MissingExtra, StoreFailed."""
    _check_address(address)
    try:
        import fsspec
    except ImportError as error:
        raise _missing(address, error) from None
    if (scheme := address.partition("://")[0]) not in fsspec.available_protocols():
        raise ConfigError(f"there is no store for this address: protocol not known: {scheme}", where=address, hint="s3://BUCKET/FOLDER/ is one")
    try:
        with told(address):
            fs, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise _missing(address, error) from None
    return Stored(fs, path, address)


def _check_address(address: str) -> None:
    """Raises ConfigError for one with credentials, in words that hold nothing secret, and for one where nothing can stay."""
    scheme, _, rest = address.partition("://")
    host, _, path = rest.partition("/")
    port = "" if host.startswith("arn:") else host.rpartition("]")[2].partition(":")[2]
    # A secret may have slashes itself: then what looks like the host ends within it.
    if "@" in host or "?" in rest or (port and not port.isdecimal()):
        hint = "give them where the store's own tools look for them, such as the environment or their config file"
        raise ConfigError("credentials do not belong into an address", where=f"{scheme}://", hint=hint)
    if not rest.strip("/"):
        raise ConfigError("the address names no bucket", where=address, hint=f"{scheme}://BUCKET/FOLDER/ names one")
    if scheme == "memory":
        raise ConfigError("what is in memory goes with this process", where=address, hint="s3://BUCKET/FOLDER/ stays")
    if "//" in path:
        raise ConfigError("two slashes in a row name no folder", where=address, hint="leave one of them out")


def as_source(archived: Source | Path) -> Source:
    """The archive, of a file too."""
    return Local(archived) if isinstance(archived, Path) else archived


def _missing(address: str, error: ImportError) -> MissingExtra:
    is_ours = isinstance(error, ModuleNotFoundError) or address.startswith("s3")
    hint = 'pip install "batchtrial[remote]"' if is_ours else "install that beside the extra `remote`"
    return MissingExtra(f"what talks to this store cannot be imported ({error})", where=address, hint=hint)


def what_is_there(address: str) -> str:
    """How to see what lies around an address."""
    scheme, _, path = address.rstrip("/").partition("://")
    around = shlex.quote(f"{scheme}://{path.rpartition('/')[0] or path}/")
    return f"`batchtrial archive --list {around}` shows what is there; a bucket is made with the store's own tools"


@contextmanager
def told(address: str) -> Iterator[None]:
    """A block in which a store is asked: what its library raises ends it as StoreFailed, or RunStateMissing for what is not there."""
    try:
        yield
    except (RunnerError, ImportError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  every store's library has errors of its own; whatever it was, the store did not do what was asked
        raise _in_words(error, address) from None


def _in_words(error: Exception, address: str) -> RunnerError:
    name, text = type(error).__name__, str(error).replace("\n", " ")[:SHOWN_CHARS]
    if name == "ParamValidationError" or (isinstance(error, ValueError) and not hasattr(error, "response")):
        return StoreFailed(f"the address or the store's settings are not right ({text})", where=address, hint="is it s3://BUCKET/FOLDER/?")
    if isinstance(error, NotImplementedError):
        return StoreFailed("a store of this kind cannot do that", where=address, hint="an archive goes to s3://BUCKET/FOLDER/ or the like")
    if isinstance(error, FileNotFoundError):
        return RunStateMissing("the store has no such bucket or object", where=address, hint=what_is_there(address))
    if isinstance(error, PermissionError):
        hint = "are the credentials right, and may they do this there? They come from the store's own settings"
        return StoreFailed(f"the store refuses ({text})", where=address, hint=hint)
    if name in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"):
        return StoreFailed(f"there are no credentials for the store ({text})", where=address, hint="set them where the store's own tools look")
    hint = "run the same command again: what has arrived is kept, and nothing half is taken for a whole"
    return StoreFailed(f"the store could not be reached, or broke off ({name}: {text})", where=address, hint=hint)

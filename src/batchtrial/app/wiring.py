"""Makes the adapter of each lane by its row in the registry, and puts an emulator, a recording or files behind it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from batchtrial.app import emulator as dryrun
from batchtrial.app.codecs import adapter, codec_of_lane, codecs_of, host_settings
from batchtrial.app.direct_lane import direct_lane
from batchtrial.clock import SteadyClock, real_now
from batchtrial.config.expand import Trial
from batchtrial.config.hosts import base_url
from batchtrial.config.lanes import config_of_lane, is_direct, lanes_of
from batchtrial.config.model import Config
from batchtrial.config.pauses import BEGUN, pause_of
from batchtrial.errors import ConfigError, PhaseFailed
from batchtrial.phases.batches.account import was_called
from batchtrial.providers.base import Provider
from batchtrial.providers.by_hand import ByHand
from batchtrial.providers.paused import Paused
from batchtrial.providers.recordings.form import LANES, load_provenance, source_of
from batchtrial.providers.registry import Row, row_of
from batchtrial.records import Item
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import encode_json, write_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the provider comes from, besides the config.

    trials: known once the items are prepared. is_by_hand: no provider is called, files go by hand. is_offline: nobody is called at all.
    around: items that tell a dry run which answers there are to choose from; empty: those of the run.
    """

    layout: RunLayout
    trials: Callable[[], tuple[Trial, ...]]
    emulator_url: str | None = None
    emulator_key: str | None = None
    replay_dir: Path | None = None
    record_dir: Path | None = None
    is_by_hand: bool = False
    is_offline: bool = False
    around: tuple[Item, ...] = ()


class Wiring:
    """The provider of one invocation, and the clock that its batches live by."""

    def __init__(self, config: Config, place: Place, env: Mapping[str, str] = os.environ, *, beside: Wiring | None = None) -> None:
        """beside: the wiring of the run's own lane, when this is of another one: they share the emulator and the clock."""
        self._config, self._place, self._env, self._beside = config, place, env, beside
        self._closing: list[Callable[[], None]] = []
        self._steady = SteadyClock()

    @cached_property
    def others(self) -> dict[str, Wiring]:
        """The wiring of each further lane, by its backend."""
        names = [name for name in lanes_of(self._config) if name != self._config.backend]
        return {name: Wiring(config_of_lane(self._config, name), self._place, self._env, beside=self) for name in names}

    @property
    def config(self) -> Config:
        """The config as it is for this lane."""
        return self._config

    @cached_property
    def emulator(self) -> dryrun.Emulator | None:
        """The dry run's emulator, not started yet; None when the run is not dry."""
        if self._beside is not None:
            return self._beside.emulator
        if not self._config.is_dry or self._place.is_offline:
            return None
        if self._place.emulator_url is not None:
            return dryrun.running(self._place.emulator_url)
        if self._config.mode == "recorded_dry_run":
            return dryrun.recorded(self._place.layout, self._config, self._recording())
        return dryrun.own(self._place.layout, self._config, self._place.trials, self._place.around)

    @cached_property
    def codecs(self) -> Provider:
        """The pure half of every lane's adapter, the lane's own alone where there is one lane."""
        return codecs_of(self._config)

    @cached_property
    def codec(self) -> Provider:
        """The adapter without an address or key: only its pure half is used."""
        return codec_of_lane(self._config)

    def provider(self) -> Provider:
        """The adapter, ready to call."""
        return self._live

    @cached_property
    def _live(self) -> Provider:
        provider = self._with_files_by_hand()
        self._closing.append(provider.close)
        return provider

    def _with_files_by_hand(self) -> Provider:
        folder = self._place.layout.arrivals
        if self._place.is_by_hand:
            return ByHand(self.codec, None, folder, was_called=lambda: was_called(self._place.layout.ledger))
        return ByHand(self.codec, self._made(), folder) if folder.is_dir() else self._made()

    def _made(self) -> Provider:
        if self._place.is_offline:
            raise PhaseFailed("this command asks no provider", hint="go on with `batchtrial resume`")
        if self._config.is_replay:
            return self._replay()
        if is_direct(self._config):
            key = None if self.emulator is None else self._emulator_key or dryrun.KEY
            direct = direct_lane(self._config, self.codec, self._place.layout, self._env, at=self.emulator, key=key)
            return self._recorded(direct)
        server = self.emulator
        if server is not None:
            host = host_settings(self._config, server.url + self._row.emulated_at, past_proxies=True)
            return self._recorded(self._adapter(host, self._emulator_key or dryrun.KEY))
        provider = self._adapter(host_settings(self._config, base_url(self._config)), self._env.get(self._row.key_variable))
        why = "" if self._config.provider.despite_pause else pause_of(self._config)
        return self._recorded(cast(Provider, Paused(provider, self._place.layout.arrivals, why, BEGUN)) if why else provider)

    def _recorded(self, provider: Provider) -> Provider:
        if self._place.record_dir is None:
            return provider
        from batchtrial.providers.recordings.cassette import Recorder

        return Recorder(provider, self._of_lane(self._place.record_dir), simulated=self._config.is_simulated, arm_form=self._config.arm_form)

    def _adapter(self, host: Mapping[str, Any], key: str | None) -> Provider:
        return adapter(self._config, host, key, account=self._account(), now=self.now)

    @property
    def _row(self) -> Row:
        return row_of(self._config.backend)

    def _replay(self) -> Provider:
        from batchtrial.providers.recordings.cassette import Replay

        return Replay(self._recording(), self.codec, lane=None if self._beside is None else self._config.backend)

    def _of_lane(self, recording: Path) -> Path:
        """Where the lane's part of a recording lies: each further lane has a folder of its own."""
        return recording if self._beside is None else recording / LANES / self._config.backend

    def _recording(self) -> Path:
        """The recording; where its answers came from is kept in the run's folder, for its report."""
        if self._place.replay_dir is None:
            raise ConfigError("this run's answers come from a recording", where="mode", hint="say which with --replay_dir DIR")
        provenance = load_provenance(source_of(self._place.replay_dir))
        if provenance is not None:
            write_bytes(self._place.layout.provenance, encode_json(provenance.model_dump(mode="json")))
        return self._place.replay_dir

    @property
    def _emulator_key(self) -> str | None:
        """The key that the emulator is asked with: one for all lanes, or `LANE=KEY` for one of them."""
        lane, is_named, key = (self._place.emulator_key or "").partition("=")
        whole = self._config if self._beside is None else self._beside.config
        if is_named and lane in lanes_of(whole):
            return key if lane == self._config.backend else None
        return self._place.emulator_key

    def _account(self) -> str:
        if not self._config.is_called:
            return (self._emulator_key or "").rpartition("@")[2] or dryrun.ACCOUNT
        return self._config.provider.account_id or self._env.get("FIREWORKS_ACCOUNT_ID", "")

    def now(self) -> datetime:
        """The time that batches live in: simulated in a dry run, real otherwise. UTC."""
        return self.emulator.now() if self.emulator is not None else real_now()

    def waiting_now(self) -> datetime:
        """The time that waits are measured by: as `now`, but a wall clock that is set anew moves no wait."""
        return self.emulator.now() if self.emulator is not None else self._steady()

    def wait(self, seconds: float) -> None:
        """Let that time pass."""
        if self.emulator is not None:
            self.emulator.wait(seconds)
        elif self._config.is_called:
            time.sleep(seconds)

    @property
    def slice_seconds(self) -> float:
        """Longest single wait: a second of real time, any of simulated time."""
        return 1.0 if self._config.is_called else float("inf")

    def close(self) -> None:
        """End what was started."""
        for end in self._closing:
            end()
        for lane in self.others.values():
            lane.close()
        if self._beside is None and self.emulator is not None:
            self.emulator.close()

"""Which feeds, and where hubs find us."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from connectors.base import PollingSettings
from connectors.inbound import InboundSettings, Path, Port
from pipeline.config.model import Duration

ADDRESS = re.compile(r"https?://[^/\s]\S*")


class FeedSettings(BaseModel):
    """One feed; an address alone is one, too."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)

    url: str
    """Address of the feed."""
    hub: str | None = None
    """Its hub, where the feed does not name it."""
    topic: str | None = None
    """What it is called there, where that is another address than the feed says."""

    @field_validator("url", "hub", "topic")
    @classmethod
    def _is_an_address(cls, given: str | None) -> str | None:
        if given is not None and not ADDRESS.fullmatch(given):
            raise ValueError("is no address — write https://host/path")
        return given


def _feed(given: Any) -> Any:
    return {"url": given} if isinstance(given, str) else given


class WebSubSettings(InboundSettings, PollingSettings):
    """Which feeds, and where hubs find us."""

    feeds: tuple[Annotated[FeedSettings, BeforeValidator(_feed, json_schema_input_type=str | FeedSettings)], ...] = (
        Field(min_length=1, max_length=100)
    )
    """Addresses of the feeds; one that names no hub: `{url: …, hub: …, topic: …}`."""
    address: str = Field(max_length=500)
    """The public address at which hubs reach `path`: https://listen.example.org/websub."""
    secret: SecretStr
    """Any secret of yours, 16 characters or more: addresses and secrets of the subscriptions are made of it."""
    lease: Duration = Field(default=864_000.0, ge=3600, le=7_776_000)
    """For how long hubs are asked to push before they are asked again; they may grant less."""
    poll_interval: Duration = Field(default=300.0, ge=0.05)
    """How often to ask for a feed that is not pushed, while it has something new."""
    slowest_poll: Duration = Field(default=3600.0, ge=0.05)
    """How seldom to ask for a feed that is not pushed."""
    poll_while_pushed: Duration = Field(default=21_600.0, ge=0.05)
    """How often to ask for a feed that is pushed, in case the hub has missed something."""
    path: Path = "/websub"
    port: Port = 9483
    max_body: int = Field(default=5_000_000, ge=1_000, le=50_000_000)
    """Bytes that a feed may have, pushed or asked for."""

    @field_validator("address")
    @classmethod
    def _can_be_called(cls, given: str) -> str:
        if not re.fullmatch(r"https?://[^/\s?#]+[^\s?#]*", given):
            raise ValueError("write the address hubs are to call: https://host/path, without ? and #")
        return given.rstrip("/")

    @field_validator("secret")
    @classmethod
    def _is_long(cls, given: SecretStr) -> SecretStr:
        if len(given.get_secret_value()) < 16:
            advice = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            raise ValueError(f"a secret must have 16 characters or more; make one with: {advice}")
        return given

    @field_validator("feeds")
    @classmethod
    def _are_different(cls, given: tuple[FeedSettings, ...]) -> tuple[FeedSettings, ...]:
        if len({feed.url for feed in given}) < len(given):
            raise ValueError("a feed is there twice: take one of them out")
        return given

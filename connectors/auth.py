"""Who we are at a source: what a connector returns from `auth()`, and every one of its requests then carries.

A static credential is written into each request as it is. A `Renewed` one is exchanged for tokens that end: they are
got, renewed before they end and kept by the account (`connectors.tokens`), one renewal at a time for all sources that
use the credential.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

import jwt
from pydantic import SecretStr

from connectors.answers import Answer
from connectors.tokens import Token, token_in
from pipeline.contract.errors import SourceRefusedError

Post = Callable[..., Awaitable[Answer]]
"""Asks for a token: `post(url, data=…, json=…, headers=…, method="POST")`, without credentials of ours. Raises what is
retriable; any other answer is returned, whatever its status."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request carries to be let in."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: Token | None = field(default=None, repr=False)


class Auth:
    """No credential. `where` tells servers apart that are asked without one."""

    is_renewed: ClassVar[bool] = False

    def __init__(self, where: str = "") -> None:
        self.where = where

    @property
    def material(self) -> str:
        """Return what the credential consists of: it names the account, hashed, and seals its tokens."""
        return f"\x00{self.where}"

    @property
    def secrets(self) -> list[str]:
        """Return what may not be shown."""
        return []

    def signed(self, token: Token | None) -> Signed:  # noqa: ARG002 - those with tokens need it
        """Return what a request carries."""
        return Signed()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


NONE: Final = Auth()


class Static(Auth):
    """A secret that is written into every request as it is."""

    def __init__(self, secret: str, signed: Signed) -> None:
        super().__init__()
        self._secret = secret
        self._signed = signed

    @property
    def material(self) -> str:
        return self._secret

    @property
    def secrets(self) -> list[str]:
        return [self._secret]

    def signed(self, token: Token | None) -> Signed:  # noqa: ARG002
        return self._signed


def bearer(secret: SecretStr | None) -> Auth:
    """Return `Authorization: Bearer …`; no credential where there is no secret."""
    return header("Authorization", secret, "Bearer ")


def header(name: str, secret: SecretStr | None, prefix: str = "") -> Auth:
    """Return a header of this name."""
    if secret is None:
        return NONE
    value = secret.get_secret_value()
    return Static(value, Signed(headers={name: f"{prefix}{value}"}))


def query(name: str, secret: SecretStr | None) -> Auth:
    """Return a parameter of the address."""
    if secret is None:
        return NONE
    value = secret.get_secret_value()
    return Static(value, Signed(params={name: value}))


def basic(user: str, secret: SecretStr | None) -> Auth:
    """Return a name and a password: RFC 7617."""
    if secret is None:
        return NONE
    return Static(secret.get_secret_value(), Signed(headers={"Authorization": _basic(user, secret)}))


def _basic(user: str, secret: SecretStr | None) -> str:
    shown = secret.get_secret_value() if secret is not None else ""
    return f"Basic {b64encode(f'{user}:{shown}'.encode()).decode()}"


class Renewed(Auth):
    """A credential that is exchanged for tokens. A class of your own implements `obtain` and gives its secrets."""

    is_renewed = True
    is_kept: ClassVar[bool] = False
    """Whether tokens are kept, sealed, over a restart: where they are rationed, or replace the configured secret."""
    rotates: bool = False
    """Whether renewing ends the old token for all: then processes take turns, and never renew at the same time."""

    def __init__(self, *secrets: SecretStr | str | None) -> None:
        super().__init__()
        self._given = [one.get_secret_value() if isinstance(one, SecretStr) else one or "" for one in secrets]

    @property
    def material(self) -> str:
        return "\x00".join(self._given)

    @property
    def secrets(self) -> list[str]:
        return [one for one in self._given if one]

    def signed(self, token: Token | None) -> Signed:
        assert token is not None
        return Signed(headers={"Authorization": f"Bearer {token.access}"}, token=token)

    async def obtain(self, post: Post, known: Token | None, now: datetime) -> Token:
        """Return a new token; `known` is the one before. Raises SourceRefusedError when there will be none."""
        raise NotImplementedError


class _Endpoint(Renewed):
    """A token endpoint: https://www.rfc-editor.org/rfc/rfc6749#section-4."""

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: SecretStr | None,
        more: tuple[SecretStr | str | None, ...],
        *,
        scope: str | None = None,
        is_basic: bool = True,
        extra: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(token_url, client_id, client_secret, *more)
        self._url = token_url
        self._client_id, self._client_secret = client_id, client_secret
        self._scope, self._basic = scope, is_basic
        self._extra, self._headers = dict(extra or {}), dict(headers or {})

    @property
    def secrets(self) -> list[str]:
        return [one for one in self._given[2:] if one]

    async def _ask(self, post: Post, now: datetime, form: Mapping[str, str | None]) -> Token:
        data = {**form, "scope": self._scope, **self._extra}
        headers = {"Accept": "application/json", **self._headers}
        if self._basic:
            headers["Authorization"] = _basic(self._client_id, self._client_secret)
        else:
            data["client_id"] = self._client_id
            data["client_secret"] = self._client_secret.get_secret_value() if self._client_secret else None
        answer = await post(
            self._url, data={key: value for key, value in data.items() if value is not None}, headers=headers
        )
        return token_in(answer, now, self.secrets)


class ClientCredentials(_Endpoint):
    """An app that asks for itself: RFC 6749, 4.4. `basic` puts id and secret into a header, else into the form."""

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: SecretStr,
        *,
        scope: str | None = None,
        basic: bool = True,
        extra: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        grant: str = "client_credentials",
    ) -> None:
        super().__init__(
            token_url, client_id, client_secret, (), scope=scope, is_basic=basic, extra=extra, headers=headers
        )
        self._grant = grant

    async def obtain(self, post: Post, known: Token | None, now: datetime) -> Token:  # noqa: ARG002
        return await self._ask(post, now, {"grant_type": self._grant})


class RefreshToken(_Endpoint):
    """A person's consent, as a refresh token: RFC 6749, 6. One that the endpoint replaces is kept sealed.

    `rotates` says that a refresh token is good for once: then `earshot connectors check` does not use it up.
    """

    is_kept = True

    def __init__(
        self,
        token_url: str,
        refresh_token: SecretStr,
        client_id: str,
        client_secret: SecretStr | None = None,
        *,
        scope: str | None = None,
        basic: bool = False,
        rotates: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            token_url, client_id, client_secret, (refresh_token,), scope=scope, is_basic=basic, headers=headers
        )
        self._refresh = refresh_token
        self.rotates = rotates

    async def obtain(self, post: Post, known: Token | None, now: datetime) -> Token:
        refresh = (known.refresh if known else None) or self._refresh.get_secret_value()
        found = await self._ask(post, now, {"grant_type": "refresh_token", "refresh_token": refresh})
        return found if found.refresh else Token(found.access, found.made_at, found.expires_at, refresh)


class SignedJwt(Renewed):
    """A token that we sign ourselves: RFC 7519. `claims` are kept, times are added. For App Store Connect and others."""

    def __init__(
        self,
        key: SecretStr,
        key_id: str | None,
        claims: Mapping[str, Any],
        *,
        algorithm: str = "ES256",
        lifetime: float = 1200.0,
    ) -> None:
        super().__init__(key, key_id, json.dumps(dict(claims), sort_keys=True))
        self._key, self._key_id, self._claims = key, key_id, dict(claims)
        self._algorithm, self._lifetime = algorithm, lifetime

    @property
    def secrets(self) -> list[str]:
        return self._given[:1]

    def sign(self, now: datetime) -> Token:
        """Return a token signed now. Raises SourceRefusedError where the key is none."""
        ends = now + timedelta(seconds=self._lifetime)
        claims = {**self._claims, "iat": int(now.timestamp()), "exp": int(ends.timestamp())}
        headers = {"kid": self._key_id} if self._key_id else None
        try:
            signed = jwt.encode(claims, self._key.get_secret_value(), algorithm=self._algorithm, headers=headers)
        except (jwt.PyJWTError, ValueError, TypeError, NotImplementedError) as error:
            raise SourceRefusedError(
                f"the key cannot sign ({type(error).__name__}) — give the private key of the platform as PEM, whole, "
                "with its lines BEGIN and END"
            ) from None
        return Token(signed, now, ends)

    async def obtain(self, post: Post, known: Token | None, now: datetime) -> Token:  # noqa: ARG002
        return self.sign(now)


class ServiceAccount(Renewed):
    """A service account of Google's: its key file signs an assertion, which is exchanged for a token (RFC 7523).

    https://developers.google.com/identity/protocols/oauth2/service-account#httprest
    """

    def __init__(self, key_file: SecretStr, scope: str, *, token_url: str | None = None) -> None:
        super().__init__(key_file, scope)
        self._file, self._scope, self._url = key_file, scope, token_url

    @property
    def secrets(self) -> list[str]:
        return self._given[:1]

    async def obtain(self, post: Post, known: Token | None, now: datetime) -> Token:  # noqa: ARG002
        try:
            found = json.loads(self._file.get_secret_value())
            mail, key = str(found["client_email"]), SecretStr(str(found["private_key"]))
            url = self._url or str(found["token_uri"])
        except (ValueError, KeyError, TypeError):
            raise SourceRefusedError(
                "the key file of the service account is none — make a key of type JSON in the Google Cloud console and "
                "give the whole file"
            ) from None
        claims = {"iss": mail, "scope": self._scope, "aud": url}
        assertion = SignedJwt(key, found.get("private_key_id"), claims, algorithm="RS256", lifetime=3600).sign(now)
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion.access}
        return token_in(await post(url, data=form, headers={"Accept": "application/json"}), now, self.secrets)

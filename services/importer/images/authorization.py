"""How to be let in: the answer to a registry's challenge, and the tokens that its token server gave."""

import base64
import re
import time
from collections.abc import Callable, Iterable, Mapping

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.importer.domain import Unacceptable
from services.importer.images.challenges import Challenge
from services.importer.images.login import Login, LoginFor
from services.importer.images.reference import Reference
from services.importer.images.transport import Answer, Connection, passes
from shared.errors import Transient
from shared.values import Reason

TOKEN_ANSWER_BYTES = 256 * 1024
# By the specification of token servers, where they do not say how long a token is good.
DEFAULT_LIFE_S = 60
LONGEST_LIFE_S = 3600
# A token that ends while a request is under way is as bad as none.
MARGIN_S = 5
MOST_TOKENS = 1000
SHOWN_LENGTH = 80
# What a header may hold. Checked before it is sent: the error of the HTTP client would show the whole header.
_SENDABLE = re.compile(r"[\x21-\x7e]{1,65536}")


class _Token(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    token: str | None = None
    access_token: str | None = None
    expires_in: int | None = Field(default=None, ge=0)


class Authorizer:
    """Gives values of the header Authorization. Tokens are kept until they end, each for its workspace alone."""

    def __init__(self, login_for: LoginFor, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._login_for = login_for
        self._monotonic = monotonic
        # (workspace, host/name) → the token, and when it ends.
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    def known(self, reference: Reference, workspace: str) -> str:
        """A token that is still good, as a header; '' without one."""
        token, ends = self._tokens.get((workspace, reference.repository), ("", 0.0))
        return f"Bearer {token}" if token and self._monotonic() < ends else ""

    async def answer(
        self, challenges: Iterable[Challenge], reference: Reference, workspace: str, connection: Connection
    ) -> str:
        """The header that the registry asks for.

        Raises:
            Unacceptable: nobody is let in without a login, or not with the one there is.
            Transient: the token server is away.
        """
        login = self._login_for(workspace, reference.host)
        if login and login.token:
            return f"Bearer {_sendable(login.token, reference.host)}"
        schemes = {challenge.scheme: challenge for challenge in reversed(list(challenges))}
        if "bearer" in schemes:
            token, life_s = await _ask(schemes["bearer"].parameters, login, reference, connection)
            self._keep((workspace, reference.repository), token, life_s)
            return f"Bearer {token}"
        if "basic" in schemes and login:
            return _basic(login)
        raise self.refused(reference, workspace)

    def refused(self, reference: Reference, workspace: str) -> Unacceptable:
        known = self._login_for(workspace, reference.host) is not None
        who = f"{'with the' if known else 'without a'} login of workspace {workspace!r}"
        what = f"{reference.host} does not let us read {reference.name[:SHOWN_LENGTH]!r} {who}"
        return Unacceptable(Reason.NOT_AUTHORIZED, f"{what}: expected an image that we may pull")

    def _keep(self, place: tuple[str, str], token: str, life_s: int) -> None:
        now = self._monotonic()
        if len(self._tokens) >= MOST_TOKENS:
            self._tokens = {place: kept for place, kept in self._tokens.items() if kept[1] > now}
        if len(self._tokens) >= MOST_TOKENS:
            self._tokens.clear()
        self._tokens[place] = (token, now + min(life_s, LONGEST_LIFE_S) - MARGIN_S)


async def _ask(
    challenge: Mapping[str, str], login: Login | None, reference: Reference, connection: Connection
) -> tuple[str, int]:
    """A token from the token server that the registry names, and for how many seconds it is good."""
    asked = {"scope": f"repository:{reference.name}:pull"}
    if "service" in challenge:
        asked["service"] = challenge["service"]
    url = connection.checked(challenge.get("realm", "")).copy_merge_params(asked)
    answer = await connection.fetch(url, {"Authorization": _basic(login)} if login else {}, TOKEN_ANSWER_BYTES)
    return _read(answer, reference)


def _read(answer: Answer, reference: Reference) -> tuple[str, int]:
    refused = f"the token server of {reference.host} answers {answer.status}"
    if passes(answer.status):
        raise Transient(refused)
    if answer.status != httpx.codes.OK:
        raise Unacceptable(
            Reason.NOT_AUTHORIZED, f"{refused}: expected a token to pull {reference.name[:SHOWN_LENGTH]!r}"
        )
    try:
        found = _Token.model_validate_json(answer.body)
    except ValidationError:
        raise Unacceptable(Reason.NOT_AUTHORIZED, f"{refused} without a token") from None
    token = _sendable(found.token or found.access_token or "", reference.host)
    return token, DEFAULT_LIFE_S if found.expires_in is None else found.expires_in


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def _sendable(token: str, host: str) -> str:
    if not _SENDABLE.fullmatch(token):
        raise Unacceptable(Reason.NOT_AUTHORIZED, f"the token for {host} is none: expected printable ASCII")
    return token

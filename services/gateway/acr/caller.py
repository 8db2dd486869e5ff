"""Who makes a call of the ACR door, and whether they may."""

from __future__ import annotations

from services.gateway.access_keys import AccessKeys
from services.gateway.acr.failures import Code, refusal
from services.gateway.acr.nonces import Nonces
from services.gateway.acr.signing import Call, read_signature
from services.gateway.api import Key
from services.gateway.auth import authorize
from services.gateway.rates import NO_LIMIT, Rates
from services.gateway.tokens import TokenChecker
from services.kernel.rpc.bearer import bearer_of


class Callers:
    """Knows callers by the signature of an access key, or by a token as the other doors take it."""

    def __init__(
        self, *, access_keys: AccessKeys, checker: TokenChecker, nonces: Nonces, rates: Rates = NO_LIMIT
    ) -> None:
        self._access_keys = access_keys
        self._checker = checker
        self._nonces = nonces
        self._rates = rates

    async def identify(self, call: Call) -> Key:
        """Returns the key that the call was made with.

        Raises:
            ServiceError: what is wrong with the signature; TOKEN_UNKNOWN of a token; RATE_EXCEEDED.
        """
        token = call.header("x-acs-bearer-token") or bearer_of(call.header("authorization"))
        if token:
            return await self._checker.check(token)
        signature = read_signature(call)
        self._nonces.check_time(signature.signed_at)
        found = await self._access_keys.find(signature.access_key_id)
        if found is None:
            raise refusal(
                Code.UNKNOWN_ACCESS_KEY,
                "There is no such access key.",
                hint="It may be mistyped or revoked: ask an administrator for a new one.",
            )
        key, secret = found
        if not signature.is_of(secret):
            raise refusal(
                Code.SIGNATURE_DOES_NOT_MATCH,
                "The signature is not the one that this call has with the access key's secret.",
                hint="Check the secret, and that no proxy changes the headers or the query on the way.",
            )
        self._rates.take(key)
        await self._nonces.use(signature.access_key_id, signature.nonce, signature.signed_at)
        return key

    def authorize(self, key: Key, method: str) -> None:
        """Returns when the key may call the method, and notes for whom the call is answered.

        Raises:
            ServiceError: ROLE_INSUFFICIENT.
        """
        authorize(key, method)

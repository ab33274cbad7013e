"""Seals cookies so that a pool user can neither read nor change them: AES-256-GCM under keys that the elements of a
pool share (RFC 5352 3.8, RFC 5355 2.16).

Layout: ``RC``, version, algorithm, 32-bit key identifier, 96-bit nonce; then, encrypted, the times of issue and expiry
in microseconds and the sequence number (64 bits each), the issuing element's identifier (32 bits), and the state. The
header and the pool handle are authenticated too. A user can still replay an older cookie of its own that has not
expired.
"""

import enum
import os
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rserpool.client.errors import MissingExtra
from rserpool.errors import LocalProtocolError, RSerPoolError
from rserpool.model.numbers import MICROSECONDS
from rserpool.settings.session import MAX_COOKIE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HEADER: Final = struct.Struct(">2sBBI12s")
CLAIMS: Final = struct.Struct(">QQQI")
MAGIC: Final = b"RC"
VERSION: Final = 1
AES_256_GCM: Final = 1
NONCE: Final = 12
TAG: Final = 16
OVERHEAD: Final = HEADER.size + CLAIMS.size + TAG
MAX_STATE: Final = MAX_COOKIE - OVERHEAD
"""Octets of the largest state."""
MIN_KEY: Final = 16
"""Octets of the shortest master key."""
MAX_DERIVED: Final = 256
"""Derived keys in the cache, one for each pool and master key."""
LIFE: Final = 3600.0
"""Seconds for which a cookie is valid."""
SKEW: Final = 30.0
"""Seconds by which the clocks of two elements may differ."""


class Rejection(enum.Enum):
    """The reason why a cookie is rejected."""

    TRUNCATED = "truncated"
    UNKNOWN_KIND = "of another kind"
    UNKNOWN_KEY = "sealed with an unknown key"
    FORGED = "forged, or another pool's"
    EXPIRED = "expired"
    FUTURE = "from the future"
    STALE = "older than the session's state"


class CookieInvalid(RSerPoolError):
    """The cookie is invalid; ``reason`` says why."""

    def __init__(self, reason: Rejection) -> None:
        super().__init__(f"the cookie is {reason.value}")
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCookie:
    """The content of an opened cookie. Times are in seconds since 1970."""

    state: bytes
    issued: float
    expires: float
    sequence: int
    identifier: int
    """The identifier of the pool element that issued it."""


class Sealer:
    """Seals and opens the cookies of pools.

    ``keys`` maps identifiers (32 bits) to master keys (at least 16 octets). The last key seals; all of them open. To
    change the key, insert the new key at the beginning at every element, then move it to the end at every element, and
    remove the old key after ``life`` seconds. One key may seal at most 2^32 cookies of one pool. ``life`` is the
    validity of a cookie and ``skew`` the tolerance between clocks, in seconds. ``clock`` returns seconds since 1970;
    ``nonce(n)`` returns n random octets.

    Raises MissingExtra if ``cryptography`` is not installed, and LocalProtocolError for invalid keys.
    """

    def __init__(
        self,
        keys: Mapping[int, bytes],
        *,
        life: float = LIFE,
        skew: float = SKEW,
        clock: Callable[[], float] = time.time,
        nonce: Callable[[int], bytes] = os.urandom,
    ) -> None:
        _load()
        if not keys or any(len(key) < MIN_KEY for key in keys.values()):
            raise LocalProtocolError(f"a sealer needs keys of at least {MIN_KEY} octets")
        if any(not 0 <= identifier <= 0xFFFFFFFF for identifier in keys):
            raise LocalProtocolError("a key identifier must fit 32 bits")
        self.counters: Counter[Rejection] = Counter()
        """The number of rejected cookies, by reason."""
        self._keys = dict(keys)
        self._newest = list(keys)[-1]
        self._life = life
        self._skew = skew
        self._clock = clock
        self._nonce = nonce
        self._derived: dict[tuple[int, bytes], AESGCM] = {}

    def seal(self, pool_handle: bytes, state: bytes, *, sequence: int = 0, identifier: int = 0) -> bytes:
        """Seal a state into a cookie. Raises LocalProtocolError for more than MAX_STATE octets."""
        if len(state) > MAX_STATE:
            raise LocalProtocolError(f"a sealed state may have {MAX_STATE} octets at most, not {len(state)}")
        nonce = self._nonce(NONCE)
        header = HEADER.pack(MAGIC, VERSION, AES_256_GCM, self._newest, nonce)
        issued = self._clock()
        claims = CLAIMS.pack(
            int(issued * MICROSECONDS), int((issued + self._life) * MICROSECONDS), sequence, identifier
        )
        return header + self._key(self._newest, pool_handle).encrypt(nonce, claims + state, header + pool_handle)

    def open(self, pool_handle: bytes, cookie: bytes, *, at_least: int = 0) -> OpenedCookie:
        """Open a cookie whose sequence number is ``at_least`` or higher. Raises CookieInvalid, and counts it."""
        try:
            return self._open(pool_handle, cookie, at_least)
        except CookieInvalid as invalid:
            self.counters[invalid.reason] += 1
            raise

    def _open(self, pool_handle: bytes, cookie: bytes, at_least: int) -> OpenedCookie:
        from cryptography.exceptions import InvalidTag

        if len(cookie) < OVERHEAD:
            raise CookieInvalid(Rejection.TRUNCATED)
        magic, version, algorithm, key, nonce = HEADER.unpack_from(cookie)
        if (magic, version, algorithm) != (MAGIC, VERSION, AES_256_GCM):
            raise CookieInvalid(Rejection.UNKNOWN_KIND)
        if key not in self._keys:
            raise CookieInvalid(Rejection.UNKNOWN_KEY)
        header = cookie[: HEADER.size]
        try:
            plain = self._key(key, pool_handle).decrypt(nonce, cookie[HEADER.size :], header + pool_handle)
        except InvalidTag:
            raise CookieInvalid(Rejection.FORGED) from None
        issued, expires, sequence, identifier = CLAIMS.unpack_from(plain)
        now = self._clock()
        if now > expires / MICROSECONDS + self._skew:
            raise CookieInvalid(Rejection.EXPIRED)
        if issued / MICROSECONDS > now + self._skew:
            raise CookieInvalid(Rejection.FUTURE)
        if sequence < at_least:
            raise CookieInvalid(Rejection.STALE)
        return OpenedCookie(
            state=plain[CLAIMS.size :],
            issued=issued / MICROSECONDS,
            expires=expires / MICROSECONDS,
            sequence=sequence,
            identifier=identifier,
        )

    def _key(self, identifier: int, pool_handle: bytes) -> "AESGCM":
        """The key derived for one pool."""
        known = self._derived.get((identifier, pool_handle))
        if known is not None:
            return known
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"rserpool cookie " + pool_handle)
        if len(self._derived) >= MAX_DERIVED:
            self._derived.clear()
        made = self._derived[identifier, pool_handle] = AESGCM(derivation.derive(self._keys[identifier]))
        return made


def _load() -> None:
    """Import cryptography now, so that no user waits for the import during a failover."""
    try:
        import cryptography.exceptions
        import cryptography.hazmat.primitives.ciphers.aead
        import cryptography.hazmat.primitives.kdf.hkdf  # noqa: F401
    except ImportError:
        raise MissingExtra("sealed cookies need cryptography: pip install rserpool[cookies]") from None

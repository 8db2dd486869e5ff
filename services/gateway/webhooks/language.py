"""What a sender's language must offer to the door for webhooks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from services.gateway.webhooks.notice import Ignored, Notice
from services.rules.api import Instance


class Language(ABC):
    """One family of senders: which bodies they send, and what those say."""

    sends: str
    """The media types that are taken, for a person."""

    @abstractmethod
    def accepts(self, media_type: str, headers: Mapping[str, str]) -> bool:
        """Tells whether a body of this type can be read.

        Args:
            media_type: bare and in lower case; empty where there is none.
            headers: of the request, names in lower case.
        """

    @abstractmethod
    def read(self, instance: Instance, headers: Mapping[str, str], body: bytes) -> Sequence[Notice | Ignored]:
        """Reads a body of a type that is accepted; an entry for each event in it.

        Raises:
            ServiceError: WEBHOOK_MALFORMED and the like for a body that this language cannot be.
        """

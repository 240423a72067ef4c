"""Who vouches for an e-mail? The signature of DKIM, over its body and every header that readers act on."""

from __future__ import annotations

from dataclasses import dataclass, field

from lifecycle.outreach.channels.settings import Secret

# RFC 8058 asks for the two of unsubscribing. Those in the second row are signed once more than they
# occur, so that nobody on the way can add another one of them.
SIGNED = (
    "from", "to", "subject", "date", "message-id", "reply-to", "mime-version", "content-type",
    "content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post", "list-id",
    "auto-submitted", "feedback-id",
    "from", "to", "subject", "reply-to", "list-unsubscribe", "list-unsubscribe-post",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    domain: str
    selector: str
    key: Secret = field(repr=False)  # RSA, PEM

    def __call__(self, content: bytes) -> bytes:
        """The line DKIM-Signature, with its line break."""
        import dkim  # it brings a client of the DNS, for which only those wait who sign

        signed: bytes = dkim.sign(
            content,
            self.selector.encode(),
            self.domain.encode(),
            self.key.text.encode(),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[name.encode() for name in SIGNED],
        )
        return signed

    def trouble(self) -> str | None:
        """Why it cannot sign; None: it can."""
        import dkim

        try:
            self(b"From: a@example.com\r\n\r\n\r\n")
        except (dkim.DKIMException, ValueError, IndexError, TypeError):
            return f"{self.key.source} holds no RSA key in PEM, as openssl genrsa writes it"
        return None


def aligned(sender_domain: str, signing_domain: str) -> bool:
    """Whether DMARC takes the signature for the sender's: the same domain, or one above the other."""
    return (
        sender_domain == signing_domain
        or sender_domain.endswith(f".{signing_domain}")
        or signing_domain.endswith(f".{sender_domain}")
    )

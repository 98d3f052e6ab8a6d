"""Ids of traces: UUIDv7 (RFC 9562), so that their order is the order of time, to the millisecond."""

VERSION_7 = 0x7 << 76
VARIANT = 0b10 << 62
RANDOM_A = 0xFFF << 64
RANDOM_B = (1 << 62) - 1
MILLISECONDS = (1 << 48) - 1


def uuid7(now: float, randomness: bytes) -> str:
    """``randomness``: at least 10 bytes that nobody can guess, of which 74 bits are used."""
    chance = int.from_bytes(randomness[:10], "big")
    milliseconds = int(now * 1000) & MILLISECONDS
    text = f"{(milliseconds << 80) | VERSION_7 | (chance & RANDOM_A) | VARIANT | (chance & RANDOM_B):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

"""Sets of capabilities, shared, so that finding a request's needs makes no new set each time."""

from functools import cache

from sluicegate.kernel.models import Capability

STREAMING = 1
TOOLS = 2
JSON_SCHEMA = 4
VISION = 8
AUDIO = 16
DOCUMENTS = 32
LOGPROBS = 64
REASONING = 128
MULTIPLE_CHOICES = 256

_MEANING = {
    STREAMING: Capability.STREAMING,
    TOOLS: Capability.TOOLS,
    JSON_SCHEMA: Capability.JSON_SCHEMA,
    VISION: Capability.VISION,
    AUDIO: Capability.AUDIO,
    DOCUMENTS: Capability.DOCUMENTS,
    LOGPROBS: Capability.LOGPROBS,
    REASONING: Capability.REASONING,
    MULTIPLE_CHOICES: Capability.MULTIPLE_CHOICES,
}


@cache
def chat_capabilities(bits: int) -> frozenset[Capability]:
    """What a chat needs of a model, `bits` being the sum of the constants above."""
    return frozenset({Capability.CHAT, *(needed for bit, needed in _MEANING.items() if bits & bit)})

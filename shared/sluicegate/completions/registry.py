"""The codecs by dialect."""

from sluicegate.completions.anthropic.codec import MessagesCodec
from sluicegate.completions.limits import DEFAULT_LIMITS, RequestLimits
from sluicegate.completions.openai_chat.codec import ChatCodec
from sluicegate.completions.openai_embeddings.codec import EmbeddingsCodec
from sluicegate.completions.openai_responses.codec import ResponsesCodec
from sluicegate.completions.types import Codec
from sluicegate.kernel.models import Dialect


def codecs(limits: RequestLimits = DEFAULT_LIMITS) -> dict[Dialect, Codec]:
    """A codec for each dialect that clients may speak."""
    return {
        Dialect.OPENAI_CHAT: ChatCodec(limits),
        Dialect.OPENAI_RESPONSES: ResponsesCodec(limits),
        Dialect.OPENAI_EMBEDDINGS: EmbeddingsCodec(limits),
        Dialect.ANTHROPIC_MESSAGES: MessagesCodec(limits),
    }

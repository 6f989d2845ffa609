"""Sizes of the pipeline, from `policies/completions.yaml`."""

from typing import Literal

from pydantic import Field

from sluicegate.kernel.policy_files import PolicyModel


class CompletionsPolicy(PolicyModel):
    """How requests are run.

    `minimum_output_tokens` is the smallest answer worth starting: a budget that cannot pay it refuses. A
    stream whose largest answer is above `stream_slice_tokens` holds money for that many tokens, asks for as
    many more once three quarters of them are left, and is cut where half of them are and no more is given;
    a shorter one holds all at once, which is stricter. For a model that has lately sent more than a quarter
    of a slice at once, a slice is four times what it sent. When a client leaves a stream, the provider is
    read on for at most `abandoned_seconds` (the money is held already, and its own figures make the cost
    exact); what is not done by then is cut, and read on for `linger_seconds` more for what had been
    produced. `forwarded_headers` are the caller's headers passed to providers. `lost_tries` says what is
    charged for a try that was given up before its answer began, which its provider may bill all the same:
    nothing, the prompt, or the prompt and the longest answer allowed. `provider_state` says whether
    requests may refer to what a provider keeps between requests (`previous_response_id`, `file_id` and the
    like), which all tenants would share.
    """

    minimum_output_tokens: int = Field(16, ge=1, le=4_096)
    stream_slice_tokens: int = Field(4_096, ge=64, le=1_000_000)
    abandoned_seconds: float = Field(10.0, ge=0, le=300)
    linger_seconds: float = Field(0.5, ge=0, le=5)
    cacheable_answer_bytes: int = Field(1 << 20, ge=0, le=16 << 20)
    complexity_sample_characters: int = Field(8_192, ge=256, le=65_536)
    lost_tries: Literal["nothing", "prompt", "everything"] = "prompt"
    provider_state: Literal["refuse", "allow"] = "refuse"
    idempotency_ttl_seconds: int = Field(86_400, ge=60, le=604_800)
    forwarded_headers: tuple[str, ...] = ("anthropic-beta", "openai-beta")

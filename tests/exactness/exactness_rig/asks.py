"""What clients ask for: mixed sizes and dialects, whole and streamed, with faults and early leavings."""

import json
import random
from dataclasses import dataclass

from exactness_rig.calls import Leaving

_WORDS = ("tide", "harbour", "lantern", "rope", "salt", "compass", "gull", "anchor", "keel", "mast")


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `kind` names what is special about it."""

    tag: str
    kind: str
    path: str
    body: bytes
    leaving: Leaving | None = None


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of each kind (any positive numbers), and how slowly streams come.

    Some streams come all at once, unless they are `paced`.
    """

    plain: float = 30
    stream: float = 25
    leave: float = 14
    leave_whole: float = 6
    retry: float = 5
    fallback: float = 6
    cut: float = 5
    error: float = 4
    stall: float = 1
    garbage: float = 1
    extras: float = 8
    delay_ms: tuple[float, float] = (0.5, 6.0)
    paced: bool = False


STREAMS = Mix(
    plain=5, stream=60, leave=10, leave_whole=0, retry=2, fallback=2, cut=2, error=2, stall=0, garbage=0,
    extras=0, delay_ms=(6.0, 12.0), paced=True,
)  # fmt: skip


def smallest(rng: random.Random, tag: str) -> Request:
    """The cheapest request there is: what still fits shows whether money was left unused."""
    return _request(
        rng, tag, "smallest", "oa-small", openai=True, stream=False, prompt="hi [[tokens 5]]", most=5
    )


def any_request(rng: random.Random, tag: str, mix: Mix) -> Request:
    """A request of a random kind."""
    names = [name for name in Mix.__slots__ if name not in {"delay_ms", "paced"}]
    kind = rng.choices(names, [getattr(mix, name) for name in names])[0]
    model = rng.choice(("oa-small", "an-small"))
    openai = rng.random() < 0.5
    most = round(5 * 80 ** rng.random())
    tokens = max(1, round(most * rng.uniform(0.2, 1.4)))
    produced = min(tokens, most)
    after = rng.randint(0, max(0, produced - 1))
    said = [f"[[tokens {tokens}]]"]
    stream = kind not in {"plain", "leave_whole"} and rng.random() < 0.75
    leaving = None
    match kind:
        case "stream" | "leave":
            stream = True
            if not mix.paced and rng.random() < 0.6:
                said.append(f"[[delay {rng.uniform(*mix.delay_ms):.1f}ms]]")
            if kind == "leave" and rng.random() < 0.5:
                leaving = Leaving(body_bytes=rng.randint(1, 40 * produced))
            elif kind == "leave":
                leaving = Leaving(seconds=rng.uniform(0, 0.3))
        case "leave_whole":
            said.append("[[first 20ms]]")
            leaving = Leaving(seconds=rng.uniform(0, 0.06))
        case "retry":
            said.append(f"[[fail {rng.choice((500, 502, 503, 429, 529))} times 1]]")
        case "fallback":
            said.append(f"[[fail {rng.choice((500, 503))} model {model}]]")
        case "cut" | "error" | "garbage":
            said.append(f"[[{kind} after {after}]]")
        case "stall":
            stream = True
            said.append(f"[[stall after {after}]]")
        case "extras":
            said.append(
                rng.choice((f"[[cached {rng.randint(1, 8)}]]", "[[reasoning 7]]", f"[[cache-write {3}]]"))
            )
    if mix.paced and stream:
        said.append(f"[[delay {rng.uniform(*mix.delay_ms):.1f}ms]]")
    size = round(10 * 400 ** rng.random())
    prompt = " ".join((*said, _text(rng, size)))
    return _request(
        rng, tag, kind, model, openai=openai, stream=stream, prompt=prompt, most=most, leaving=leaving
    )


def _request(
    rng: random.Random,
    tag: str,
    kind: str,
    model: str,
    *,
    openai: bool,
    stream: bool,
    prompt: str,
    most: int,
    leaving: Leaving | None = None,
) -> Request:
    body = {
        "model": model,
        "max_tokens": most,
        "messages": [{"role": "user", "content": f"{tag} {prompt}"}],
    }
    if stream:
        body["stream"] = True
        if openai and rng.random() < 0.5:
            body["stream_options"] = {"include_usage": True}
    if openai and kind == "extras" and model == "oa-small" and rng.random() < 0.4:
        body["n"] = 2
    path = "/v1/chat/completions" if openai else "/v1/messages"
    return Request(tag, kind, path, json.dumps(body).encode(), leaving)


def _text(rng: random.Random, size: int) -> str:
    words: list[str] = []
    left = size
    while left > 0:
        word = rng.choice(_WORDS)
        words.append(word)
        left -= len(word) + 1
    return " ".join(words)

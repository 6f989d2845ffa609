"""Policy decides whether a request may refer to what a provider keeps."""

import orjson
import pytest

from sluicegate.kernel.errors import InvalidRequestError

REFERENCES = [
    {"prompt_cache_options": {"comparison_response_id": "chatcmpl-1"}},
    {"audio": {"voice": {"id": "voice_1"}, "format": "mp3"}},
    {"google": {"cached_content": "cachedContents/1"}},
    {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "audio": {"id": "audio_1"}}]},
    {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "gs://bucket/a.png"}}]}
        ]
    },
]


@pytest.mark.parametrize("reference", REFERENCES)
async def test_it_may_not_unless_policy_says_so(build, wire, reference):
    bench = build()
    with pytest.raises(InvalidRequestError, match="provider_state: allow"):
        await bench.ask(**reference)
    assert (bench.alpha.calls, bench.admission.grants) == ([], [])


@pytest.mark.parametrize("reference", REFERENCES)
async def test_it_is_passed_on_as_it_is_where_there_is_one_tenant(build, wire, reference):
    bench = build(completions={"provider_state": "allow"})
    bench.alpha.scripts = [wire.Script(pieces=(wire.whole(),))]
    assert (await bench.ask(**reference)).status == 200
    sent = orjson.loads(bench.alpha.calls[0].body)
    assert {name: sent[name] for name in reference} == reference

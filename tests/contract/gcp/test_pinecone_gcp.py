"""Vectors in Pinecone, over the wire, against a server of our own that speaks its data plane."""

import pytest
from pinecone_server import PineconeServer
from pydantic import SecretStr

from sluicegate.adapters.vectors.pinecone import BATCH, PineconeVectors, VectorRow
from sluicegate.kernel.errors import DependencyUnavailableError, InvalidRequestError


@pytest.fixture
def server():
    server = PineconeServer()
    yield server
    server.stop()


@pytest.fixture
async def vectors(server):
    async def key():
        return SecretStr(max(server.keys))

    vectors = PineconeVectors(server.host, key)
    yield vectors
    await vectors.close()


def rows(count):
    return [
        VectorRow(f"v{n}", (1.0, n / 100, 0.0), {"kind": "even" if n % 2 == 0 else "odd"})
        for n in range(count)
    ]


async def test_the_nearest_are_found_best_first(vectors):
    await vectors.put("acme", rows(5))
    found = await vectors.find("acme", (1.0, 0.02, 0.0), 3)
    assert (found[0].id, {each.id for each in found}) == ("v2", {"v1", "v2", "v3"})
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert found[0].score == pytest.approx(1.0)
    assert found[0].facts == {"kind": "even"}
    only = await vectors.find("acme", (1.0, 0.02, 0.0), 10, where={"kind": {"$eq": "odd"}})
    assert {each.id for each in only} == {"v1", "v3"}


async def test_tenants_are_apart(vectors, server):
    await vectors.put("acme", rows(2))
    assert await vectors.find("other", (1.0, 0.0, 0.0), 5) == []
    await vectors.drop("other", ["v0"])
    await vectors.forget_tenant("other")
    assert len(await vectors.find("acme", (1.0, 0.0, 0.0), 5)) == 2
    assert set(server.namespaces) == {"acme"}
    with pytest.raises(ValueError, match="tenant"):
        await vectors.put("../acme", rows(1))


async def test_many_go_in_batches_of_a_hundred(vectors, server):
    await vectors.put("acme", rows(2 * BATCH + 50))
    assert sorted(server.sizes) == [50, BATCH, BATCH]
    assert len(server.namespaces["acme"]) == 250


async def test_what_is_put_again_replaces_and_what_is_dropped_is_gone(vectors):
    await vectors.put("acme", rows(3))
    await vectors.put("acme", [VectorRow("v1", (0.0, 0.0, 1.0), {"kind": "new"})])
    await vectors.drop("acme", ["v0", "missing"])
    found = await vectors.find("acme", (0.0, 0.0, 1.0), 10)
    assert {each.id: each.facts["kind"] for each in found} == {"v1": "new", "v2": "even"}
    await vectors.forget_tenant("acme")
    assert await vectors.find("acme", (0.0, 0.0, 1.0), 10) == []


async def test_a_wrong_dimension_is_the_callers_and_not_tried_again(vectors, server):
    with pytest.raises(InvalidRequestError):
        await vectors.put("acme", [VectorRow("v", (1.0,))])
    with pytest.raises(InvalidRequestError):
        await vectors.find("acme", (1.0,), 1)
    assert len(server.paths) == 2


@pytest.mark.parametrize("status", [429, 503])
async def test_a_passing_failure_is_tried_again_a_bounded_number_of_times(vectors, server, status):
    server.faults = [status]
    await vectors.put("acme", rows(1))
    server.paths.clear()
    server.faults = [status] * 50
    with pytest.raises(DependencyUnavailableError):
        await vectors.find("acme", (1.0, 0.0, 0.0), 1)
    assert len(server.paths) == 4
    server.faults = []
    assert len(await vectors.find("acme", (1.0, 0.0, 0.0), 1)) == 1


async def test_a_key_that_was_replaced_refuses_nobody(vectors, server):
    await vectors.put("acme", rows(1))
    server.keys = {"k2"}
    assert len(await vectors.find("acme", (1.0, 0.0, 0.0), 1)) == 1
    server.keys = {"k3"}

    async def old():
        return SecretStr("k2")

    vectors._key = old
    with pytest.raises(DependencyUnavailableError, match="API key"):
        await vectors.find("acme", (1.0, 0.0, 0.0), 1)


async def test_a_server_away_is_said_so():
    async def key():
        return SecretStr("k")

    away = PineconeVectors("http://127.0.0.1:1", key, attempt_s=0.2, total_s=0.5)
    with pytest.raises(DependencyUnavailableError):
        await away.find("acme", (1.0,), 1)
    await away.close()

"""Many large bodies at once: bounded, refused with 503, and room again afterwards."""

import threading


def test_bodies_beyond_the_bound_are_refused_and_room_comes_back(start_gateway):
    gateway = start_gateway("bodies", MAX_BODY_BYTES="20000", MAX_BODIES_BYTES="50000")
    statuses = []

    def ask():
        text = "[[first 600ms]] " + "x" * 18_000
        statuses.append(gateway.chat(text).status)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 200, 503, 503, 503, 503]
    assert gateway.chat("x" * 18_000).status == 200
    assert gateway.chat("x" * 30_000).status == 413

"""Both flavours of an SDK behind one face, so that a test is written once."""

import asyncio
import inspect
import operator


class Sync:
    """Calls a synchronous SDK client by the dotted name of the method."""

    def __init__(self, client) -> None:
        self.client = client

    def call(self, method: str, /, **arguments):
        result = operator.attrgetter(method)(self.client)(**arguments)
        return list(result) if arguments.get("stream") else result

    def raw(self, method: str, /, **arguments):
        """The headers of an answer, and the answer."""
        reply = operator.attrgetter(f"{method}.with_raw_response.create")(self.client)(**arguments)
        return reply.headers, reply.parse()

    def watch(self, method: str, final: str, /, **arguments):
        """The events of an SDK's stream helper, and what its method `final` returns."""
        with operator.attrgetter(method)(self.client)(**arguments) as stream:
            events = list(stream)
            return events, getattr(stream, final)()

    def having(self, **options):
        return Sync(self.client.with_options(**options))


class Async:
    """The same on an asynchronous client, in one event loop."""

    def __init__(self, client, runner: asyncio.Runner) -> None:
        self.client = client
        self.runner = runner

    def call(self, method: str, /, **arguments):
        async def run():
            result = await operator.attrgetter(method)(self.client)(**arguments)
            return [event async for event in result] if arguments.get("stream") else result

        return self.runner.run(run())

    def raw(self, method: str, /, **arguments):
        async def run():
            reply = await operator.attrgetter(f"{method}.with_raw_response.create")(self.client)(**arguments)
            parsed = reply.parse()
            return reply.headers, await parsed if inspect.isawaitable(parsed) else parsed

        return self.runner.run(run())

    def watch(self, method: str, final: str, /, **arguments):
        async def run():
            async with operator.attrgetter(method)(self.client)(**arguments) as stream:
                events = [event async for event in stream]
                return events, await getattr(stream, final)()

        return self.runner.run(run())

    def having(self, **options):
        return Async(self.client.with_options(**options), self.runner)

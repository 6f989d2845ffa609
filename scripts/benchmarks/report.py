"""Tables for people. Figures are kept as measured; nothing is left out because it looks bad."""

from collections.abc import Mapping, Sequence
from typing import Any

# The goals of issue 2: name, how to find the figure, the goal, and whether more is better.
GOALS: Sequence[tuple[str, tuple[str, ...], float, bool, str]] = (
    ("governed requests per second", ("throughput", "governed", "requests_per_s"), 8_000, True, "{:,.0f}"),
    ("the same, per CPU second", ("throughput", "governed", "per_cpu_second"), 8_000, True, "{:,.0f}"),
    ("governed / nginx", ("ratios", "governed_to_nginx"), 0.2, True, "{:.3f}"),
    ("the same, by CPU time", ("ratios", "governed_to_nginx_by_cpu"), 0.2, True, "{:.3f}"),
    ("governed / LiteLLM", ("ratios", "governed_to_litellm"), 80, True, "{:.0f}"),
    ("cache hits per second", ("throughput", "cache", "requests_per_s"), 10_000, True, "{:,.0f}"),
    ("the same, per CPU second", ("throughput", "cache", "per_cpu_second"), 10_000, True, "{:,.0f}"),
    ("added latency, p50, ms", ("latency", "governed", "added_p50_ms"), 0.6, False, "{:.2f}"),
    ("added to a first event, p50, ms", ("first_event", "governed", "added_p50_ms"), 0.6, False, "{:.2f}"),
    ("memory after all requests, MiB", ("memory", "after_mib"), 120, False, "{:.0f}"),
    ("first governed answer, s", ("start", "gateway_s"), 0.8, False, "{:.2f}"),
)  # fmt: skip


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table that also reads well on a terminal: first column left, the others right."""
    cells = [[str(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]

    def line(row: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join([first, *others])} |"

    rule = [("-" * width) if not column else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join([f"{title}\n", line(cells[0]), line(rule), *map(line, cells[1:])]) + "\n"


def throughput(results: Mapping[str, Mapping[str, Any]], connections: int) -> str:
    """Requests per second, and CPU time per request of the gateway and of what works for it."""
    governed = results.get("governed", {}).get("requests_per_s")
    rows = []
    for result in results.values():
        beside = result["beside_cpu_us"]
        rows.append(
            (
                result["title"],
                f"{result['requests_per_s']:,.0f}",
                f"{result['requests_per_s'] / governed:.2f}" if governed else "-",
                f"{result['gateway_cpu_us']:.0f}",
                f"{result['gateway_kernel_us']:.0f}",
                f"{result['per_cpu_second']:,}" if result["per_cpu_second"] else "-",
                f"{beside['redis']:.0f}" if "redis" in beside else "-",
                f"{beside['ledger']:.0f}" if "ledger" in beside else "-",
                f"{result['own_share_of_core']:.0%}",
                f"{max(result['foreign_share_of_core'], result['foreign_share_of_rest']):.0%}",
                result["refused"] + result["failed"],
            )
        )
    headings = (
        f"{connections} connections", "req/s", "to governed", "CPU us", "in kernel", "per CPU s", "Redis us",
        "ledger us", "core used", "by others", "errors",
    )  # fmt: skip
    return table("Throughput (medians of the rounds)", headings, rows)


def latency(title: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Latency at one connection and what each target adds to upstream's own."""
    rows = [
        (
            result["title"],
            f"{result['p50_ms']:.3f}",
            f"{result['p99_ms']:.3f}",
            f"{result['added_p50_ms']:+.3f}" if name != "upstream" else "-",
            f"{result['added_p99_ms']:+.3f}" if name != "upstream" else "-",
        )
        for name, result in results.items()
    ]
    return table(title, ("one connection, ms", "p50", "p99", "added p50", "added p99"), rows)


def streams(results: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (
            title,
            f"{result['wanted']:,}",
            f"{result['peak_open']:,}",
            f"{result['complete']:,}",
            f"{result['rss_before'] / 1024:.0f}",
            f"{result['rss_at_peak'] / 1024:.0f}",
            f"{result['kib_per_stream']:.1f}",
            f"{result['opened_in_s']:.1f}",
            f"{result['cpu_s']:.1f}",
        )
        for title, result in results.items()
    ]
    headings = (
        "open streams", "asked", "open at once", "complete", "MiB before", "MiB at peak", "KiB each",
        "all open after s", "CPU s",
    )  # fmt: skip
    return table("Streams open at once on one gateway process", headings, rows)


def stages(shares: Mapping[str, float], cpu_us: float | None) -> str:
    rows = [
        (stage, f"{share:.1%}", f"{share * cpu_us:.0f}" if cpu_us else "-")
        for stage, share in shares.items()
        if share >= 0.002
    ]
    return table("Where the gateway's time goes", ("stage", "share", "us"), rows)


def goals(results: Mapping[str, Any]) -> str:
    """Each goal beside its figure; what was not measured in this run is left out, be it all."""
    rows = []
    for name, path, goal, more, form in GOALS:
        figure: Any = results
        for step in path:
            figure = figure.get(step) if isinstance(figure, Mapping) else None
        if figure is None:
            continue
        met = figure >= goal if more else figure <= goal
        sign = ">=" if more else "<="
        rows.append((name, form.format(figure), f"{sign} {goal:,g}", "met" if met else "missed"))
    if not rows:
        return ""
    return table("Goals", ("figure", "measured", "goal", ""), rows)

"""What ``ecgkit extract-knowledge`` and its further commands print."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecgkit.cli.render import print_table, say, warn
from ecgkit.errors import BatchWaitingError
from ecgkit.wording import percent

if TYPE_CHECKING:
    from ecgkit.api.knowledge import ServerCost
    from ecgkit.knowledge.backends import Cost
    from ecgkit.knowledge.extract import Summary
    from ecgkit.knowledge.vote import Vote

SHOWN = 20


@dataclass(frozen=True)
class Prices:
    """Prices per million tokens; 0 if they are not known."""

    prompt: float
    answer: float

    def of(self, prompt_tokens: int, answer_tokens: int) -> float:
        """Return the price of some tokens."""
        return (prompt_tokens * self.prompt + answer_tokens * self.answer) / 1e6

    def __bool__(self) -> bool:
        return bool(self.prompt or self.answer)


def announce(cost: "ServerCost", prices: Prices) -> None:
    """Print the number of requests and their estimated cost before the first request."""
    say(f"{cost.records} records, {cost.texts} unique texts, {cost.saved} calls saved, {cost.cost.requests} to ask")
    say(f"estimate: {_estimated(cost.cost, prices)}")


def _estimated(cost: "Cost", prices: Prices) -> str:
    parts = [f"{cost.prompt_tokens} prompt tokens and {cost.answer_tokens} answer tokens"]
    if prices:
        parts.append(f"a price of {prices.of(cost.prompt_tokens, cost.answer_tokens):.2f}")
    if cost.seconds is not None:
        parts.append(_duration(cost.seconds))
    basis = f"measured on {cost.measured} answers" if cost.measured else "a rough guess, before anything is measured"
    return f"{', '.join(parts)} ({basis})"


def _duration(seconds: float) -> str:
    hours, minutes = int(seconds // 3600), int(seconds % 3600 // 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{max(1, round(seconds))} s"


def show(summary: "Summary", prices: Prices) -> None:
    """Print the result of an extraction."""
    entities = summary.entities
    say(f"{len(entities.names)} entities of {summary.records} records ({summary.with_report} with a report)")
    _show_rare(summary)
    say(f"{summary.texts} unique texts read, {summary.saved} calls saved")
    say(f"labels in {summary.path}")
    _show_counters(summary.counters, prices)
    for reason in summary.lost_servers.values():
        warn(f"{reason}. The other servers answered its questions")
    for reason, count in summary.problems.items():
        warn(f"{count} texts not read ({reason})")
    if summary.incomplete:
        warn(
            f"{summary.incomplete} records are not read completely. Run the command again; with --retry-unread, it "
            "also asks again about unreadable answers"
        )
    if summary.unknown:
        warn(f"{len(summary.unknown)} names are not in the vocabulary and are left out. mentions.parquet lists them")
    _show_entities(summary)
    if summary.whole:
        say(f"the whole would take {summary.whole.requests} more questions: {_estimated(summary.whole, prices)}")
        say("for the whole, give the same command without --limit. What was answered now is not asked again")


def _show_rare(summary: "Summary") -> None:
    if not summary.rare:
        return
    most = ", ".join(f"{name} ({count})" for name, count in list(summary.rare.items())[:5])
    count = len(summary.rare)
    what = "1 more entity is" if count == 1 else f"{count} more entities are"
    say(f"{what} left out, present in fewer than {summary.min_count} records: {most}{', ...' if count > 5 else ''}")
    say("a lower --min-count keeps them")


def _show_entities(summary: "Summary") -> None:
    entities = summary.entities
    rows = [
        {"entity": name, "present": int(p), "uncertain": int(u), "parent": entities.parents.get(name, "")}
        for name, p, u in zip(entities.names[:SHOWN], entities.counts, entities.uncertain, strict=False)
    ]
    more = len(entities.names) > SHOWN
    title = f"The {SHOWN} most frequent of {len(entities.names)} entities" if more else "Entities"
    print_table(title, rows, numeric=["present", "uncertain"])


def _show_counters(counters: Mapping[str, Any], prices: Prices) -> None:
    """Print the number of requests, tokens and the cost."""
    if counters:
        say(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counters.items()))
    if counters.get("verify_asked"):
        dropped = counters["verify_dropped"] / counters["verify_asked"]
        say(f"entities that verification rejected: {percent(dropped)} % of those asked about")
    if prices:
        cost = prices.of(counters.get("prompt_tokens", 0), counters.get("completion_tokens", 0))
        say(f"cost: {cost:.2f}")


def show_batch(waiting: BatchWaitingError) -> None:
    """Print where questions wait for their answers."""
    say(f"{waiting.count} questions of the stage {waiting.stage} are written:")
    for path in waiting.paths:
        say(path)
    say("Let them be answered, put the files of answers into the same folder, and give the same command again")


def show_vote(vote: "Vote") -> None:
    """Print the result of a vote."""
    summary = vote.summary
    say(f"{len(vote.voters)} extractions vote: {', '.join(vote.voters)}")
    say(f"they differ on {vote.disputed} of {vote.texts} unique texts, which {vote.records} records contain")
    say(f"for a person to decide: {vote.disputes}")
    say(f"{len(summary.entities.names)} entities of {summary.records} records, labels in {summary.path}")
    _show_rare(summary)
    rows = [{**row.to_dict(), "kappa": kappa(row.kappa)} for row in vote.rows[:SHOWN]]
    print_table("Texts that call an entity present, by entity", rows, numeric=["unanimous", "split", "kappa"])


def kappa(value: float | None) -> str:
    """Return a kappa as text."""
    return "-" if value is None else f"{value:z.3f}"

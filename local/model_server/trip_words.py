"""What a message to the trip planner wants, by the words in it."""

import re
from typing import Any

TO = re.compile(
    r"\b(?:trip|travel|go|visit|days?|week(?:end)?)\b.*?\b(?:to|in)\s+(.+?)(?:[.;!?](?:\s|$)|$)",
    re.IGNORECASE,
)
CITY = re.compile(r"[A-Z][\w'.-]*(?: (?:de |of )?[A-Z][\w'.-]*)*")
DAYS = re.compile(r"(\d+)[ -]days?", re.IGNORECASE)
MORE_DAYS = re.compile(r"\badd (\d+|an?|another|one)(?: more)? days?\b", re.IGNORECASE)
DAY = re.compile(r"\bday (\d+)", re.IGNORECASE)
NEEDS = {"vegetarian": "Vegetarian food", "wheelchair": "Wheelchair access", "children": "Suits children"}
CLAUSES = re.compile(r"[.,;!?](?:\s|$)|\band\b")
ADD = re.compile(r"\b(?:add|include)\b(.*)", re.IGNORECASE)
REMOVE = re.compile(r"\b(?:remove|drop|delete|leave out|without|no longer)\b(.*)", re.IGNORECASE)
MORE = re.compile(
    r"\s*(?:an?|the|some|another)\b", re.IGNORECASE
)  # goes on with the verb of the clause before
AROUND = re.compile(r"^(?:an?|the|some|another) |(?: (?:please|too|(?:to|on|from|in) .*))+$", re.IGNORECASE)
PLACE = re.compile(r"\bin ([A-Z].*)")

type Intents = list[dict[str, str]]


def intents(asked: dict[str, Any]) -> Intents:
    """Of the message, in view of what the trip has: `days`, `pois` and `requirements`."""
    message = str(asked["message"])
    found: Intents = []
    if days := _days(message, asked):
        found.append(_intent("set_days", days))
    if place := TO.search(message):
        found += [_intent("set_city", city) for city in CITY.findall(place[1])]
    verb: re.Pattern[str] | None = None
    for clause in CLAUSES.split(message):
        verb = _verb(clause) or (verb if MORE.match(clause) else None)
        said = verb.search(clause) if verb else None
        rest = AROUND.sub("", (said[1] if said else clause).strip()).strip()
        found += [each for each in _wishes(clause, verb, rest, asked) if each not in found]
    return found or [{"intent": "other", "action": "none", "value": ""}]


def _intent(kind: str, value: str) -> dict[str, str]:
    return {"intent": kind, "action": kind.partition("_")[0], "value": value[:500]}


def _days(message: str, asked: dict[str, Any]) -> str:
    if more := MORE_DAYS.search(message):
        return str(int(asked.get("days") or 0) + (int(more[1][:3]) if more[1].isdecimal() else 1))
    said = DAYS.search(message)
    return said[1] if said else ""


def _verb(clause: str) -> re.Pattern[str] | None:
    return next((each for each in (ADD, REMOVE) if each.search(clause)), None)


def _wishes(clause: str, verb: re.Pattern[str] | None, rest: str, asked: dict[str, Any]) -> Intents:
    """Of one clause, `rest` being what its verb is about."""
    needs = [need for word, need in NEEDS.items() if word in clause.lower()]
    if verb is REMOVE:
        return _removals(rest, needs, asked)
    if needs:
        day = DAY.search(clause)
        return [_intent("add_requirement", f"{need} on day {day[1]}" if day else need) for need in needs]
    if verb is not ADD or not rest or MORE_DAYS.search(clause):
        return []
    if "requirement" in rest.lower():
        return [_intent("add_requirement", rest)]
    there = PLACE.search(clause)
    return [
        *(_intent("set_city", city) for city in CITY.findall(there[1] if there else "")),
        _intent("add_poi", rest),
    ]


def _removals(rest: str, needs: list[str], asked: dict[str, Any]) -> Intents:
    """A requirement that is not named is the newest one."""
    given = [str(each["description"]) for each in asked.get("requirements") or []]
    if needs or "requirement" in rest.lower():
        named = [each for each in given if any(need in each for need in needs)]
        if not needs:
            named = given if "requirements" in rest.lower() else given[-1:]
        return [_intent("remove_requirement", each) for each in named or needs or [rest]]
    pois: list[dict[str, str]] = asked.get("pois") or []
    named = [each["name"] for each in pois if is_meant(each, rest)]
    return [_intent("remove_poi", each) for each in named or [rest]] if rest else []


def is_meant(place: dict[str, Any], said: str) -> bool:
    """By a part of its name, or by its kind, in the singular or the plural."""
    name, kind, said = str(place["name"]).lower(), str(place["kind"]).lower(), said.lower()
    return bool(said and name) and (said in name or name in said or bool(kind and said in (kind, f"{kind}s")))

"""Writes the sample data in data/: `.venv/bin/python -m scripts.make_sample_data`. The same files each time.

A year of an invented maker of industrial goods: its plants, products and orders, and what its sensors read.
"""

import csv
import random
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"
SEED = 20251120
FIRST_DAY = date(2025, 11, 1)
DAYS = 365

PLANTS = [
    # plant, city, country, opened, units a day
    ("Aurora", "Hamburg", "Germany", 1998, 420),
    ("Borealis", "Gothenburg", "Sweden", 2004, 310),
    ("Cascade", "Portland", "United States", 2011, 560),
    ("Delta", "Rotterdam", "Netherlands", 1987, 380),
    ("Ember", "Monterrey", "Mexico", 2016, 640),
    ("Fathom", "Busan", "South Korea", 2019, 720),
]
PRODUCTS = [
    # product, category, unit price, unit cost
    ("Servo Drive", "drives", 412.5, 251.0),
    ("Linear Actuator", "drives", 289.9, 171.4),
    ("Gear Motor", "drives", 198.0, 120.5),
    ("Flow Valve", "valves", 86.4, 41.2),
    ("Pressure Valve", "valves", 104.75, 52.3),
    ("Safety Valve", "valves", 149.0, 77.8),
    ("Thermal Probe", "sensing", 38.2, 14.6),
    ("Vision Unit", "sensing", 930.0, 548.0),
    ("Vibration Pickup", "sensing", 61.5, 25.9),
    ("Edge Controller", "control", 745.0, 402.0),
    ("Relay Module", "control", 27.9, 11.3),
    ("Panel Display", "control", 318.0, 190.2),
]
REGIONS = ("Americas", "Asia", "Europe", "Middle East")
SENSORS = (("temperature", "C", 68.0, 6.0), ("vibration", "mm/s", 2.4, 0.7), ("pressure", "bar", 5.8, 0.5))


def tables() -> dict[str, Iterator[tuple[object, ...]]]:
    """Each table's rows, its header first."""
    return {
        "orders": _orders(random.Random(SEED)),
        "plants": iter([("plant", "city", "country", "opened", "capacity"), *PLANTS]),
        "products": iter([("product", "category", "unit_price", "unit_cost"), *PRODUCTS]),
        "sensors": _sensors(random.Random(SEED + 1)),
    }


def write(folder: Path) -> None:
    """One CSV file a table."""
    for name, rows in tables().items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def _days(step: int = 1) -> Iterable[date]:
    return (FIRST_DAY + timedelta(days=number) for number in range(0, DAYS, step))


def _orders(chance: random.Random) -> Iterator[tuple[object, ...]]:
    """Some orders a day; the price varies by what was agreed, the revenue is what it comes to."""
    yield "order_id", "day", "plant", "product", "region", "units", "revenue"
    number = 0
    for day in _days():
        for _ in range(chance.randint(4, 9)):
            number += 1
            plant, product = chance.choice(PLANTS)[0], chance.choice(PRODUCTS)
            units = chance.randint(1, 60)
            cents = round(product[2] * 100 * units * chance.uniform(0.9, 1.0))
            yield number, day, plant, product[0], chance.choice(REGIONS), units, f"{cents / 100:.2f}"


def _sensors(chance: random.Random) -> Iterator[tuple[object, ...]]:
    """A reading a week from each sensor of each plant."""
    yield "day", "plant", "sensor", "unit", "reading"
    for day in _days(7):
        for plant, *_ in PLANTS:
            for sensor, unit, middle, spread in SENSORS:
                yield day, plant, sensor, unit, f"{chance.gauss(middle, spread):.2f}"


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    write(DATA)

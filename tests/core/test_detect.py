"""Detection on a series: what stands out alerts once, a rhythm does not, and the past never changes with the future."""

import csv
import math
import random
import statistics
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.detect.reading import Columns, RowError, cells, header, instant, number, row
from pipeline.core.detect.rolling import TO_SIGMA, Newest, TimeOfDay
from pipeline.core.detect.stream import WARM_UP, Detector

START = datetime(2026, 11, 2, tzinfo=UTC)
FIVE = timedelta(minutes=5)


def found(values, *, step=FIVE, times=None):
    detector = Detector()
    times = times or [START + number * step for number in range(len(values))]
    return [detector.see(at, value) for at, value in zip(times, values, strict=True)]


def alerts(values, **options):
    return [number for number, one in enumerate(found(values, **options)) if one is not None and one.alert]


def counts(rate, rows, seed=1):
    """Counts that scatter by chance around a rate, which may be a function of the row."""
    rng = random.Random(seed)
    rate_at = rate if callable(rate) else lambda _: rate
    return [float(sum(rng.random() < rate_at(n) / 200 for _ in range(200))) for n in range(rows)]


DAY = 288
times = st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
series = st.lists(
    st.integers(0, 50).map(float) | st.floats() | st.sampled_from([math.nan, 1e308, -1e308, 5e-324]),
    min_size=1,
    max_size=120,
)


@given(series, st.integers(1, 120), st.data())
@settings(max_examples=60, deadline=None)
def test_a_row_depends_on_the_rows_before_it_and_on_nothing_else(values, cut, data):
    cut = min(cut, len(values))
    if data.draw(st.booleans(), "in order"):
        at = [START + n * FIVE for n in range(len(values))]
    else:
        at = data.draw(st.lists(times, min_size=len(values), max_size=len(values)))
    whole, begun = found(values, times=at), found(values[:cut], times=at[:cut])
    assert begun == whole[:cut]
    for value, one in zip(values, whole, strict=True):
        assert (one is None) == (not math.isfinite(value))
        assert one is None or 0.0 <= one.score <= 1.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 20))
def test_median_and_spread_of_the_newest_values_are_exact(values, size):
    newest = Newest(size)
    for value in values:
        newest.add(value)
    kept = values[-size:]
    middle = statistics.median(kept)
    assert len(newest) == len(kept)
    assert newest.median() == pytest.approx(middle, abs=1e-6)
    expected = statistics.median_low(sorted(abs(value - middle) for value in kept)) * TO_SIGMA
    assert newest.spread() == pytest.approx(expected, abs=1e-4)


def test_a_spike_alerts_once_soon_after_it_began():
    values = counts(20, 4 * DAY)
    values[3 * DAY : 3 * DAY + 24] = [120.0] * 24
    (only,) = alerts(values)
    assert 3 * DAY <= only <= 3 * DAY + 3


def test_what_is_twice_as_bad_as_the_alert_before_alerts_again_on_the_same_day():
    values = counts(20, 4 * DAY)
    values[3 * DAY : 3 * DAY + 12] = [60.0] * 12
    values[3 * DAY + 48 : 3 * DAY + 60] = [2000.0] * 12
    first, second = alerts(values)
    assert first < 3 * DAY + 12
    assert 3 * DAY + 48 <= second < 3 * DAY + 60


def test_silence_where_much_is_usual_alerts():
    values = counts(40, 4 * DAY)
    values[3 * DAY : 3 * DAY + 24] = [0.0] * 24
    (only,) = alerts(values)
    assert 3 * DAY < only < 3 * DAY + 12


def test_silence_where_little_is_usual_is_no_news():
    values = counts(1, 4 * DAY)
    values[3 * DAY : 3 * DAY + 48] = [0.0] * 48
    assert alerts(values) == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [0.05, 1, 5, 50])
def test_chance_alone_alerts_hardly_ever(rate, seed):
    assert len(alerts(counts(rate, 10 * DAY, seed))) <= 1


def test_a_daily_rhythm_is_no_incident_once_it_is_known():
    def rate(n):
        return 60 if 18 <= n % DAY / 12 < 20 else 6  # two busy hours, every evening

    values = counts(rate, 9 * DAY)
    assert not [one for one in alerts(values) if one >= 4 * DAY]


def test_a_spike_on_top_of_the_rhythm_alerts():
    values = counts(lambda n: 30 + 20 * math.sin(n % DAY / DAY * 2 * math.pi), 9 * DAY)
    values[8 * DAY + 72 : 8 * DAY + 84] = [200.0] * 12
    assert [one for one in alerts(values) if one >= 8 * DAY] == [pytest.approx(8 * DAY + 73, abs=3)]


def test_one_incident_does_not_hide_the_next():
    values = counts(20, 8 * DAY)
    for day in (3, 5, 7):
        values[day * DAY : day * DAY + 24] = [150.0] * 24
    assert [one // DAY for one in alerts(values)] == [3, 5, 7]


def test_nothing_is_unusual_before_the_series_is_known():
    values = [0.0] * (WARM_UP - 1) + [1e9]
    assert all(one.score == 0 and not one.alert for one in found(values))


def test_a_constant_series_has_no_score_and_its_first_jump_has():
    values = [10.0] * 2 * DAY + [80.0] * 6
    scores = [one.score for one in found(values)]
    assert max(scores[: 2 * DAY]) == 0
    assert scores[-1] > 0.5


def test_missing_values_change_nothing():
    values = counts(20, 2 * DAY)
    values[DAY : DAY + 24] = [120.0] * 24
    at = [START + n * FIVE for n in range(len(values))]
    holes = [(when, math.nan) for when in at[10::7]]
    mixed = sorted([*zip(at, values, strict=True), *holes], key=lambda one: (one[0], math.isnan(one[1])))
    judged = found([value for _, value in mixed], times=[when for when, _ in mixed])
    assert [one for one in judged if one is not None] == found(values)


def test_a_gap_is_not_silence():
    at = [START + n * FIVE for n in range(2 * DAY)] + [START + timedelta(days=30) + n * FIVE for n in range(DAY)]
    assert alerts(counts(40, 3 * DAY), times=at) == []


@pytest.mark.parametrize("step", [timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)])
def test_rows_may_be_minutes_hours_or_days_apart(step):
    values = counts(50, 400)
    values[300:] = [400.0] * 100
    one = alerts(values, step=step)[0]
    assert 300 <= one <= 310


def test_numbers_that_are_no_counts_are_judged_too():
    rng = random.Random(3)
    values = [-0.2 + rng.gauss(0, 0.05) for _ in range(3 * DAY)]
    values[2 * DAY : 2 * DAY + 24] = [0.9] * 24
    (only,) = alerts(values)
    assert 2 * DAY <= only <= 2 * DAY + 6


def test_the_memory_of_times_of_day_is_bounded_whatever_the_times_are():
    rng, known = random.Random(1), TimeOfDay()
    for _ in range(3000):
        known.add(START + timedelta(days=rng.randrange(-5000, 5000)), 1.0)
    assert len(known._slots) <= 9 * 48 + 1


def test_a_time_of_day_has_a_level_once_three_days_are_known():
    known = TimeOfDay()
    for day in range(3):
        assert known.levels(START + timedelta(days=day, hours=10)) is None
        for minutes in range(0, 24 * 60, 5):
            at = START + timedelta(days=day, minutes=minutes)
            known.add(at, 9.0 if at.hour in (9, 10) else 1.0)
    later = START + timedelta(days=3)
    assert known.levels(later + timedelta(hours=10)) == (9.0, 9.0)
    assert known.levels(later + timedelta(hours=11)) == (1.0, 9.0)
    assert known.levels(later + timedelta(hours=15)) == (1.0, 1.0)


# ------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-24T09:30:00Z", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)),
        ("2026-11-24 10:30:00+01:00", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)),
        ("2026-11-24 09:30:00", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("20261124", datetime(2026, 11, 24, tzinfo=UTC)),
        ("1795512600", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)),
        ("1795512600.5", datetime(2026, 11, 24, 9, 30, 0, 500_000, tzinfo=UTC)),
        ("1795512600000", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)),
        ("300", datetime(1970, 1, 1, 0, 5, tzinfo=UTC)),
    ],
)
def test_times_are_iso_8601_or_epochs(written, meant):
    assert instant(written) == meant


@pytest.mark.parametrize("written", ["", "yesterday", "2026-13-01", "9" * 400, "0001-01-01T00:00:00+10:00"])
def test_what_is_no_time_says_how_to_write_one(written):
    with pytest.raises(RowError, match="2026-11-24T09:30:00Z"):
        instant(written)


@pytest.mark.parametrize("written", ["", "NaN", "null", "NA", "-"])
def test_a_value_that_was_not_measured_is_nan(written):
    assert math.isnan(number(written))


@pytest.mark.parametrize("written", ["x", "1,5", "inf", "-Infinity", "1e999"])
def test_a_value_that_is_no_number_says_what_to_write(written):
    with pytest.raises(RowError, match="leave it empty where it is unknown"):
        number(written)


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        ("timestamp,value", Columns(0, 1)),
        ("Value,Timestamp", Columns(1, 0)),
        ("label,timestamp,value", Columns(1, 2)),
        ("time,mentions", Columns(0, 1)),
        ("2026-11-24,5", None),
        ("2026-11-24,x", None),
        ("x,5", None),
        ("one", None),
    ],
)
def test_a_header_is_a_first_row_without_time_and_number(first, columns):
    assert header(cells(first)) == columns


@given(st.text())
def test_any_line_is_a_row_or_an_error_that_says_what_to_write(line):
    try:
        assert row(cells(line), Columns()).at.tzinfo is not None
    except RowError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


# ------------------------------------------------------------------------------------------------------ measured


@pytest.mark.shared
def test_most_labelled_incidents_of_a_benchmark_are_found(shared):
    """Numenta's Twitter volumes: at least four of five windows have an alert, with few alerts outside them."""
    import json

    folder = shared / "data" / "nab"
    windows = json.loads((folder / "combined_windows.json").read_text(encoding="utf-8"))
    hit = total = outside = 0
    for file in sorted((folder / "realTweets").glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as stream:
            rows = [(datetime.fromisoformat(one["timestamp"]), float(one["value"])) for one in csv.DictReader(stream)]
        spans = [
            tuple(datetime.fromisoformat(edge) for edge in span)
            for name, spans in windows.items()
            if name.endswith(file.name)
            for span in spans
        ]
        detector = Detector()
        at = [when for when, value in rows if (one := detector.see(when, value)) and one.alert]
        total += len(spans)
        hit += sum(any(first <= when <= last for when in at) for first, last in spans)
        outside += sum(not any(first <= when <= last for first, last in spans) for when in at)
    assert hit >= 0.8 * total
    assert outside <= 3 * total

"""B1 to B16 and B19 on each engine. Each test has days of its own, so that all share one running engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from conformance import flights
from conformance.engine import EngineWithRecords
from conformance.stack import PASSWORD, Stack

pytestmark = pytest.mark.conformance
SAMPLE = ("PIPELINE=flights_daily", "DATE=2013-01-02")
STEPS = ("extract", "transform", "check", "publish")
RUN_SECONDS = 300  # within which an undisturbed run has ended, on a busy machine too


def january(day: int) -> date:
    return date(2013, 1, day)


def staging(day: date, part: str) -> bytes:
    """What statements about a staging table of that day contain."""
    return f"flights_daily_{day:%Y%m%d}_{part}".encode()


def assert_one_exact_copy(stack: Stack, day: date) -> None:
    want = flights.counted(day)
    published = [stack.rows(name, day) for name in ("fact_flights", "daily_carrier_performance", "daily_route_volume")]
    assert published == [want["flights"], want["carriers"], want["routes"]]


@pytest.mark.quick
@pytest.mark.behaviour("B1")
def test_a_day_is_published_with_the_figures_of_its_file(stack, evidence):
    done = stack.engine.make("run", *SAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_one_exact_copy(stack, january(2))
    day = stack.land(january(4))
    stack.engine.wait(stack.engine.trigger(day), "success", seconds=RUN_SECONDS)
    assert_one_exact_copy(stack, day)
    evidence(f"{stack.version}: {flights.counted(day)['flights']} rows equal those counted in the file")


@pytest.mark.behaviour("B2")
def test_a_transient_failure_is_retried_after_growing_delays(stack, evidence):
    day = stack.land(january(5))
    fault = stack.proxy.cut(staging(day, "typed"), times=2)
    done = stack.engine.wait(stack.engine.trigger(day), "success", seconds=RUN_SECONDS)
    assert len(fault.seen) == 2
    assert len(done.attempts["transform"]) == 3
    first, second, third = done.attempts["transform"]
    delays = (second.began - first.ended, third.began - second.ended)
    assert delays[0] >= 0.8
    assert delays[1] >= 2.4  # 3 s, less a fifth of jitter
    assert not stack.receiver.of("failed", day.isoformat())
    evidence(f"3 attempts, {delays[0]:.1f} s and {delays[1]:.1f} s apart")


@pytest.mark.quick
@pytest.mark.behaviour("B3")
def test_a_permanent_failure_is_reported_once_and_not_retried(stack, evidence):
    day = stack.land(january(6))
    file = stack.landing / day.isoformat() / "flights.csv"
    file.write_text(file.read_text().replace("dep_time", "departed", 1))
    run_id = stack.engine.trigger(day)
    done = stack.engine.wait(run_id, "failed", seconds=RUN_SECONDS)
    assert len(done.attempts["extract"]) == 1
    assert not any(done.attempts.get(step) for step in STEPS[1:])
    assert stack.rows("fact_flights", day) == 0
    stack.receiver.wait_for("failed", day.isoformat(), seconds=60)
    time.sleep(5)  # for a second one, which must not come
    [alert] = stack.receiver.of("failed", day.isoformat())
    told = json.dumps(alert)
    for word in (
        "flights_daily",
        day.isoformat(),
        "extract",
        "InputError",
        f"127.0.0.1:{stack.engine.port}",
        "runbook",
    ):
        assert word in told, word
    assert PASSWORD not in told
    evidence("1 attempt, nothing downstream, 1 alert")


@pytest.mark.behaviour("B4")
def test_late_input_is_waited_for_without_a_worker_and_missed_after_its_time(stack, evidence):
    late, missing = stack.land(january(7), complete=False), stack.land(january(8), complete=False)
    runs = [stack.engine.trigger(day) for day in (late, missing)]
    for run_id in runs:
        stack.engine.wait(run_id, *stack.engine.waits_as, seconds=RUN_SECONDS)
    taken = []
    for _ in range(20):
        taken.append(stack.engine.places_taken())
        time.sleep(0.5)
    assert taken.count(0) > len(taken) / 2, taken  # a look takes a place for a moment
    (stack.landing / late.isoformat() / "_SUCCESS").touch()
    stack.engine.wait(runs[0], "success", seconds=RUN_SECONDS)
    assert_one_exact_copy(stack, late)
    stack.engine.wait(runs[1], "failed", seconds=RUN_SECONDS)
    stack.receiver.wait_for("failed", missing.isoformat(), seconds=60)
    evidence(f"no place taken in {taken.count(0)} of {len(taken)} looks; went on, or failed with an alert")


@pytest.mark.behaviour("B5")
def test_bad_rows_are_quarantined_under_the_threshold_and_stop_the_run_over_it(stack, evidence):
    day = stack.land(january(9), broken_rows=5)
    flights_there = flights.counted(day)["flights"]
    stack.engine.wait(stack.engine.trigger(day), "success", seconds=RUN_SECONDS)
    assert stack.rows("fact_flights", day) == flights_there - 5
    assert stack.rows("fact_flights_quarantine", day) == 5
    stack.land(day, broken_rows=200)
    failed = stack.engine.wait(stack.engine.trigger(day), "failed", seconds=RUN_SECONDS)
    assert not failed.attempts.get("publish")
    assert stack.rows("fact_flights", day) == flights_there - 5
    stack.receiver.wait_for("failed", day.isoformat(), "ContractError", seconds=60)
    evidence("5 rows quarantined; with 200 nothing published, the partition before stands, alert")


@pytest.mark.behaviour("B6")
def test_a_kill_in_the_middle_of_publishing_leaves_no_half_partition(stack, evidence):
    day = stack.land(january(10))
    for _ in range(2):
        stack.engine.wait(stack.engine.trigger(day), "success", seconds=RUN_SECONDS)
        assert_one_exact_copy(stack, day)
    # Between the statement that empties the second table's partition and the one that fills it.
    filling = day.isoformat().encode() + rb"(?s:'.{1,20})" + rb'INSERT INTO "daily_carrier_performance"'
    held = stack.proxy.hold(filling, times=1)
    run_id = stack.engine.trigger(day)
    while not held.seen:
        time.sleep(0.2)
    assert_one_exact_copy(stack, day)
    for pid in stack.engine.pids("run"):
        os.kill(pid, signal.SIGKILL)
    held.released.set()
    assert_one_exact_copy(stack, day)
    ended = stack.engine.wait(run_id, "success", "failed", seconds=2 * RUN_SECONDS)
    if ended.state == "failed":
        stack.engine.wait(stack.engine.trigger(day), "success", seconds=RUN_SECONDS)
    assert_one_exact_copy(stack, day)
    evidence(f"a reader always saw one exact copy; the killed run ended as {ended.state}")


@pytest.mark.behaviour("B7")
def test_a_backfill_goes_on_after_a_failed_day_and_repeats_only_what_is_missing(stack, evidence):
    days = [stack.land(january(number)) for number in (11, 12, 13)]
    file = stack.landing / days[1].isoformat() / "flights.csv"
    good = file.read_text()
    file.write_text(good.replace("dep_time", "departed", 1))
    span = ("PIPELINE=flights_daily", f"FROM={days[0]}", f"TO={days[-1]}")
    done = stack.engine.make("backfill", *span, timeout=3 * RUN_SECONDS)
    assert done.returncode != 0
    assert days[1].isoformat() in done.stdout + done.stderr
    for day in (days[0], days[2]):
        assert_one_exact_copy(stack, day)
    assert stack.rows("fact_flights", days[1]) == 0
    file.write_text(good)
    before = {day: len(stack.engine.runs_of(day)) for day in days}
    done = stack.engine.make("backfill", *span, "ONLY_MISSING=1", timeout=3 * RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    more = {day: len(stack.engine.runs_of(day)) - before[day] for day in days}
    assert more == {days[0]: 0, days[1]: 1, days[2]: 0}
    for day in days:
        assert_one_exact_copy(stack, day)
    evidence("2 of 3 days published; repeated, only the third ran")


@pytest.mark.behaviour("B8")
def test_a_run_that_misses_its_sla_is_reported_and_goes_on(stack, evidence):
    day = stack.land(january(14))
    slow = stack.proxy.hold(b"CREATE TABLE [^;]*" + staging(day, "typed"), seconds=60, times=1)
    run_id = stack.engine.trigger(day)
    alert = stack.receiver.wait_for("late", day.isoformat(), seconds=RUN_SECONDS)
    state = stack.engine.run(run_id).state
    slow.released.set()
    stack.engine.wait(run_id, "success", seconds=RUN_SECONDS)
    assert len(alert) == 1
    assert len(stack.receiver.of("late", day.isoformat())) == 1
    assert_one_exact_copy(stack, day)
    evidence(f"1 alert while the run was {state}; it succeeded")


@pytest.mark.behaviour("B9")
def test_a_hung_step_is_ended_retried_and_reported(stack, evidence):
    day = stack.land(january(15))
    hung = stack.proxy.hold(staging(day, "rejected"))
    done = stack.engine.wait(stack.engine.trigger(day), "failed", seconds=2 * RUN_SECONDS)
    hung.released.set()
    assert len(done.attempts["check"]) == 3
    assert not done.attempts.get("publish")
    stack.receiver.wait_for("failed", day.isoformat(), "check", seconds=60)
    time.sleep(5)
    assert len(stack.receiver.of("failed", day.isoformat())) == 1
    evidence("ended at its time-out in each of 3 attempts, then 1 alert")


@pytest.mark.behaviour("B10")
def test_never_more_runs_at_once_on_the_warehouse_than_the_limit(stack, evidence):
    days = [stack.land(january(number)) for number in range(16, 21)]
    # Work takes long enough that runs would overlap.
    slow = stack.proxy.hold(rb"CREATE TABLE [^;]*flights_daily_201301(1[6-9]|20)_typed", seconds=4)
    watched = stack.proxy.watch(rb"flights_daily_201301(1[6-9]|20)_")
    for run_id in [stack.engine.trigger(day) for day in days]:
        stack.engine.wait(run_id, "success", seconds=3 * RUN_SECONDS)
    slow.released.set()
    assert stack.proxy.most_at_once(watched) == 2
    for day in days:
        assert_one_exact_copy(stack, day)
    evidence("2 at once over 5 parallel runs, with a limit of 2")


@pytest.mark.behaviour("B11")
def test_secrets_stay_in_their_backend(stack, evidence):
    day = stack.land(january(21))
    run_id = stack.engine.trigger(day)
    stack.engine.wait(run_id, "success", seconds=RUN_SECONDS)
    stack.engine.wait_for_processes(RUN_SECONDS)
    assert PASSWORD not in stack.engine.metadata(run_id)
    assert PASSWORD not in stack.engine.log_text()
    listed = subprocess.run(
        ["grep", "-rlF", PASSWORD, "--exclude-dir=.venv", "--exclude-dir=.uv", stack.project.folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.stdout == ""
    done = stack.engine.make("run", *SAMPLE, APP_SECRET_WAREHOUSE_PASSWORD="")
    assert done.returncode != 0
    assert "secret:warehouse-password" in done.stderr
    assert "Traceback" not in done.stderr
    evidence("in no log, metadata or file; a missing one is named by its reference")


FIELDS = ("timestamp", "level", "event", "env", "pipeline", "step", "run_id", "partition", "attempt")


@pytest.mark.behaviour("B12")
def test_every_log_line_is_json_and_business_lines_name_their_run(stack, evidence):
    day = stack.land(january(22))
    stack.engine.wait(stack.engine.trigger(day), "success", seconds=RUN_SECONDS)
    lines = [line for line in stack.engine.log_text().splitlines() if line.strip()]
    records, others = [], []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:
            others.append(line)
    assert len(others) < len(lines) / 100, others[:5]
    engine_lines = [found for found in records if {"timestamp", "level", "event"} <= found.keys()]
    assert len(engine_lines) > 0.99 * len(records)
    ours = [found for found in records if found.get("event") == "step finished" and found["partition"] == str(day)]
    assert {found["step"] for found in ours} >= set(STEPS)
    for found in ours:
        assert set(FIELDS) <= found.keys(), found
    evidence(f"{len(records)} of {len(lines)} lines; steps with {', '.join(FIELDS[3:])}")


@pytest.mark.quick
@pytest.mark.behaviour("B13")
def test_configuration_differs_by_environment_and_refuses_what_it_does_not_know(stack, evidence):
    unknown = stack.project.make("run", "ENV=moon", timeout=60)
    assert unknown.returncode != 0
    assert "use one of" in unknown.stderr
    assert "conformance" in unknown.stderr
    file = stack.project.folder / "config" / "conformance.toml"
    kept = file.read_text()
    file.write_text(kept.replace("[quality]", "") + "\n[quality]\nmax_quarantined_shares = 0.5\n")
    try:
        refused = stack.engine.make("run", *SAMPLE)
    finally:
        file.write_text(kept)
    assert refused.returncode != 0
    assert "max_quarantined_shares" in refused.stderr
    overridden = stack.engine.make(
        "run", *SAMPLE, APP_PIPELINES__FLIGHTS_DAILY__LANDING__URL="nowhere", APP_INPUT_WAIT__TIMEOUT_SECONDS="0"
    )
    assert overridden.returncode != 0
    assert "nowhere" in overridden.stderr
    evidence("unknown environment and key refused with the fix; a variable overrides the file")


@pytest.mark.behaviour("B14")
def test_the_schedule_keeps_local_time_across_daylight_saving(stack, evidence):
    berlin = ZoneInfo("Europe/Berlin")
    for change in (date(2026, 3, 29), date(2026, 10, 25)):
        after = datetime(change.year, change.month, change.day, 12, tzinfo=berlin) - timedelta(days=2)
        ticks = stack.engine.ticks(after, 3, cron="0 6 * * *", timezone="Europe/Berlin")
        local = [tick.astimezone(berlin) for tick, _ in ticks]
        assert [(tick.hour, tick.minute) for tick in local] == [(6, 0)] * 3
        assert [day for _, day in ticks] == [tick.date() - timedelta(days=1) for tick in local]
        assert len({tick.utcoffset() for tick in local}) == 2
    evidence("06:00 local before and after both changes of 2026")


@pytest.mark.behaviour("B15")
def test_a_run_ends_after_every_process_was_killed(stack, evidence):
    day = stack.land(january(24))
    held = stack.proxy.hold(b"CREATE TABLE [^;]*" + staging(day, "typed"), times=1)
    run_id = stack.engine.trigger(day)
    while not held.seen:
        time.sleep(0.2)
    supervisor = stack.engine.supervisor
    os.kill(supervisor, signal.SIGSTOP)  # it would start them again, and `down` end them properly
    for role in stack.engine.roles:
        for pid in stack.engine.pids(role):
            os.kill(pid, signal.SIGKILL)
    held.released.set()
    for ending in (signal.SIGTERM, signal.SIGCONT):
        os.kill(supervisor, ending)
    stack.engine.down()
    stack.engine.up()
    stack.engine.wait(run_id, "success", seconds=3 * RUN_SECONDS)
    assert_one_exact_copy(stack, day)
    evidence(f"{', '.join(stack.engine.roles)} killed in mid-run; it ended, published once")


@pytest.mark.behaviour("B16")
def test_an_hourly_pipeline_beside_the_daily_one_publishes_its_own_partitions(stack, evidence):
    hours = [f"2013-03-10T{hour:02}Z" for hour in range(5, 9)]  # clocks change at 07Z
    landing = stack.landing.parent / "weather"
    rows = {hour: flights.land_weather(landing, hour) for hour in hours}
    day = stack.land(january(28))
    run_id = stack.engine.trigger(day)
    span = ("PIPELINE=weather", f"FROM={hours[0]}", f"TO={hours[-1]}")
    done = stack.engine.make("backfill", *span, timeout=4 * RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {hour: stack.hourly_rows("fact_weather", hour) for hour in hours} == rows
    stack.engine.wait(run_id, "success", seconds=RUN_SECONDS)
    assert_one_exact_copy(stack, day)
    listed = stack.engine.make("pipelines").stdout
    assert hours[-1] in listed
    evidence(f"{len(hours)} hours across a change of clocks beside a day, each its own rows")


@pytest.mark.behaviour("B16")
def test_a_pipeline_that_is_removed_leaves_the_other_as_it_was(stack, evidence):
    """Late, as the hourly pipeline is gone afterwards."""
    hour = "2013-03-10T09Z"
    rows = flights.land_weather(stack.landing.parent / "weather", hour)
    done = stack.engine.make("backfill", "PIPELINE=weather", f"FROM={hour}", f"TO={hour}", timeout=4 * RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert stack.engine.pipelines() >= {"flights_daily", "weather"}
    removed = stack.engine.make("pipeline-remove", "NAME=weather")
    assert removed.returncode == 0, removed.stdout + removed.stderr
    stack.engine.down()
    stack.engine.up()
    day = stack.land(january(29))
    stack.engine.wait(stack.engine.trigger(day), "success", seconds=RUN_SECONDS)
    assert_one_exact_copy(stack, day)
    assert "weather" not in stack.engine.pipelines()
    assert stack.hourly_rows("fact_weather", hour) == rows
    evidence("one removed, the other runs on, and what was published stays")


@pytest.mark.behaviour("B19")
def test_old_history_is_removed_and_younger_runs_and_one_in_progress_stay(stack, evidence):
    """By the services of `make up`, with the 90 days that the configuration has."""
    if not isinstance(stack.engine, EngineWithRecords):
        assert stack.engine.days_kept() == 90
        evidence("the server keeps runs for 90 days; its clock cannot be moved to see one go")
        return
    old_day, _, day_in_progress = days = [stack.land(january(number)) for number in (25, 26, 27)]
    old, young = (stack.engine.trigger(day) for day in days[:2])
    for run_id in (old, young):
        stack.engine.wait(run_id, "success", seconds=RUN_SECONDS)
    held = stack.proxy.hold(b"CREATE TABLE [^;]*" + staging(day_in_progress, "typed"), times=1)
    in_progress = stack.engine.trigger(day_in_progress)
    while not held.seen:
        time.sleep(0.2)
    young_files = len(stack.engine.files_of(young))
    for run_id, age in ((old, 93), (in_progress, 92), (young, 89)):
        stack.engine.age(run_id, days=age)
    stack.engine.look_for_old_history()
    end = time.monotonic() + RUN_SECONDS
    while stack.engine.runs_of(old_day) or stack.engine.files_of(old):
        assert time.monotonic() < end, f"{old} is still there after {RUN_SECONDS} s"
        time.sleep(1)
    assert stack.engine.run(young).state == "success"
    assert stack.engine.run(young).attempts["publish"]
    assert len(stack.engine.files_of(young)) == young_files
    held.released.set()
    stack.engine.wait(in_progress, "success", seconds=RUN_SECONDS)
    for day in days:
        assert_one_exact_copy(stack, day)  # what was published is no history
    evidence("a run of 93 days ago went with its logs; one of 89 days ago and one in progress for 92 days stayed")


@pytest.mark.behaviour("B14")
def test_a_tick_starts_one_run_for_the_day_before_and_nothing_that_is_past(stack, evidence):
    """Last, as it leaves an engine with another schedule."""
    zone = ZoneInfo("Pacific/Kiritimati")  # 14 hours ahead of UTC: its date is another one for most of the day
    for minutes in (4, 8, 16):  # the services take time to start, on a busy machine more than that
        stack.engine.down()
        tick = (datetime.now(zone) + timedelta(minutes=minutes)).replace(second=0)
        schedule = {"CRON": f"{tick.minute} {tick.hour} * * *", "TIMEZONE": str(zone)}
        stack.engine.up(**{f"APP_PIPELINES__FLIGHTS_DAILY__SCHEDULE__{key}": value for key, value in schedule.items()})
        if datetime.now(zone) < tick:
            break
    yesterday, before = tick.date() - timedelta(days=1), tick.date() - timedelta(days=2)
    stack.land_empty(yesterday)  # an engine may wait for input before it makes a run
    end = time.monotonic() + 3 * RUN_SECONDS
    while not (found := stack.engine.runs_of(yesterday)):
        assert time.monotonic() < end, "no scheduled run came"
        time.sleep(1)
    assert len(found) == 1
    assert not stack.engine.runs_of(before)
    evidence(f"a tick processed {yesterday} in {zone}; no run for earlier ticks")

"""Findings that are allowed, with a reason and without."""

from prefect import flow, task


@task(timeout_seconds=5)  # standards: allow prefect-no-retries -- sends a letter, which must not be sent twice
def send() -> None: ...


# standards: allow prefect-no-retries, prefect-no-timeout -- writes to memory only
@task
def remember() -> None: ...


@task(timeout_seconds=5)  # standards: allow prefect-no-retries # expect: silence-without-reason, prefect-no-retries
def silenced_without_reason() -> None: ...


@task(retries=1)  # standards: allow prefect-timeouts -- there is no such rule # expect: silence-of-unknown-rule, prefect-no-timeout
def silenced_by_another_name() -> None: ...


@task(retries=1, timeout_seconds=5)  # standards: allow prefect-no-retries -- has some by now # expect: unused-silence
def silenced_for_nothing() -> None: ...


@task(timeout_seconds=5)  # standards: allow -- everything? # expect: silence-of-unknown-rule, prefect-no-retries
def silenced_for_everything() -> None: ...


TEXT = "# standards: allow prefect-no-retries"


@flow(name="quiet")  # standards: allow prefect-no-deployment -- run by hand once a year
def quiet():
    send()
    remember()
    silenced_without_reason()
    silenced_by_another_name()
    silenced_for_nothing()
    silenced_for_everything()

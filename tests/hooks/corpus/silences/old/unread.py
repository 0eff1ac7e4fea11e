from prefect import flow


@flow
def unread(): ...

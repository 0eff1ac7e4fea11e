"""Knows nothing of the other code location, whose checks are made of whatever it is given."""

import dagster as dg

from warehouse.stock import stock

sensor = dg.build_sensor_for_freshness_checks(freshness_checks=[], name="late")
defs = dg.Definitions(assets=[stock], sensors=[sensor])

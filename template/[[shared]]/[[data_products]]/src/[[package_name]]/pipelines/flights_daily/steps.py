"""The steps of flights_daily, which each orchestrator calls. What a step does is in `platform.data_products`.

A step that this pipeline does in its own way becomes a function here, which takes the partition and returns its rows.
"""

from ...platform.data_products import DataProducts
from ...platform.sources import Csv
from . import PIPELINE

# fmt: off
products = DataProducts(
    PIPELINE,
    landed={  # data/landing/flights_daily/<day>/
        "flights": Csv("flights.csv", (
            "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time",
            "arr_delay", "carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour", "minute",
            "time_hour",
        ), quote=""),
        "weather": Csv("weather.csv", (
            "origin", "year", "month", "day", "hour", "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust",
            "precip", "pressure", "visib", "time_hour",
        )),
    },
    reference={  # data/landing/flights_daily/reference/
        "planes": Csv("planes.csv", (
            "tailnum", "year", "type", "manufacturer", "model", "engines", "seats", "speed", "engine",
        )),
        "airlines": Csv("airlines.csv", ("carrier", "name")),
        "airports": Csv("airports.csv", ("faa", "name", "lat", "lon", "alt", "tz", "dst", "tzone")),
    },
)
# fmt: on

input_ready = products.input_ready
wait_for_input = products.wait_for_input
load = products.load
build = products.build
publish = products.publish

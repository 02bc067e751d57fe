"""Reads whole Hilltop servers with hilltop-py, an independent client, and prints what it found as one line of JSON.

Usage: python hilltopPy.py FROM TO ORIGIN PATH [ORIGIN PATH ...]. See hilltopPy.test.ts, which starts the servers.
"""

import json
import sys
import warnings

import pandas as pd
from hilltoppy import Hilltop, __version__

warnings.simplefilter("ignore")


def rows_of(frame, name):
    """Times as they came, values as Python writes them; samples have parameters and no value."""
    if frame.empty:
        return []
    names = [name, name.split(" [")[0], "Value"]
    column = next((each for each in names if each in frame.columns), None)
    times = pd.to_datetime(frame["Time"]).dt.strftime("%Y-%m-%dT%H:%M:%S")
    values = [""] * len(frame) if column is None else frame[column]
    return [[time, str(value)] for time, value in zip(times, values)]


def read(origin, path, start, end, complaints):
    """Every request that the library has, for every site and measurement of one server."""
    asked = 0

    def ask(what, request):
        nonlocal asked
        asked += 1
        try:
            return request()
        except Exception as error:  # whatever it is, it is a complaint
            complaints.append(f"{path}: {what}: {type(error).__name__}: {str(error)[:200]}")
            return pd.DataFrame()

    server = Hilltop(origin, path)
    sites = ask("sites", server.get_site_list)
    lists = {
        "located": len(ask("Location=Yes", lambda: server.get_site_list(location=True))),
        "latitudes": len(ask("Location=LatLong", lambda: server.get_site_list(location="LatLong"))),
        "with rain": len(ask("Measurement", lambda: server.get_site_list(measurement="Rainfall"))),
        "collections": len(ask("CollectionList", server.get_collection_list)),
        "names": len(ask("names", server.get_measurement_names)),
        "infos": len(ask("SiteInfo", lambda: server.get_site_info(list(sites["SiteName"][:3])))),
    }
    series = []
    for site in dict.fromkeys(sites["SiteName"]):
        listed = ask(f"list of {site}", lambda: server.get_measurement_list(site))
        for _, one in listed.iterrows():
            name, kind = one["MeasurementName"], one["DataType"]
            if kind == "GaugingResults" and name.startswith("Comment"):
                continue  # it takes every native value for a number
            frame = ask(f"{name} at {site}", lambda: server.get_data(site, name, start, end))
            series.append({"site": site, "name": name, "kind": kind, "type": one["TSType"], "rows": rows_of(frame, name)})
    plain = [one for one in series if one["kind"] == "SimpleTimeSeries" and len(one["rows"]) > 100][:3]
    daily = [
        len(
            ask(
                f"daily {one['name']} at {one['site']}",
                lambda: server.get_data(
                    one["site"], one["name"], start, end,
                    agg_method="Average", agg_interval="1 day", quality_codes=True, tstype="Standard",
                ),
            )
        )
        for one in plain
    ]
    return {"path": path, "asked": asked, "sites": len(sites), "lists": lists, "series": series, "daily": daily}


def main():
    """One object for all servers."""
    start, end, *addresses = sys.argv[1:]
    complaints = []
    servers = [
        read(origin, path, start, end, complaints) for origin, path in zip(addresses[::2], addresses[1::2])
    ]
    print(json.dumps({"version": __version__, "complaints": complaints, "servers": servers}))


main()

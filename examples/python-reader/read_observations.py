"""Follows the observations topic and tells, as CSV, what was added, corrected and removed.

    KAFKA_BROKERS=127.0.0.1:9092 python read_observations.py [--until-end | --current]

It reads the topic from its beginning, since what it knows is in memory. A reader that keeps the values keeps the offsets beside
them, in one transaction, and goes on from there.
"""

import argparse
import csv
import json
import os
import sys
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Optional

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition


class Series(NamedTuple):
    council: int
    site: str
    measurement_name: str
    measurement: str
    item: str
    units: str
    source: str


class Value(NamedTuple):
    value: Decimal
    qualifier: Optional[str]
    quality: Optional[int]


class Change(NamedTuple):
    what: str
    series: Series
    observed_at: datetime
    value: Value
    fetched_at: str


def moment(text):
    """Python before 3.11 does not read the Z."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class Observations:
    """The values that are known, each with the fetch of the document that said it last."""

    def __init__(self):
        self.values = {}  # by series and time: the value and its fetch
        self.covered = {}  # by series and month: the fetch of the newest complete document, from when, until when

    def apply(self, key, message, headers):
        """What the message changes. An older document that comes late changes nothing that a newer one has told of."""
        series = Series(
            message["councilId"],
            message["siteName"],
            message["measurementName"],
            headers.get("measurement", ""),
            headers.get("item", ""),
            headers.get("units", ""),
            headers.get("source", ""),
        )
        fetched_at = moment(headers["fetched_at"])
        known = self.values.setdefault(series, {})
        newest = self.covered.get((series, key["yearMonth"]))
        changes = []

        def note(what, at, value):
            changes.append(Change(what, series, at, value, headers["fetched_at"]))

        said = {}  # of two values of one time the last counts
        for one in message["observations"]:
            value = Value(Decimal(one["value"]), one.get("qualifier"), one.get("quality"))
            said[moment(one["observedAt"])] = value

        for at, value in said.items():
            if newest is not None and newest[0] > fetched_at and newest[1] <= at <= newest[2]:
                continue
            before = known.get(at)
            if before is not None and before[1] > fetched_at:
                continue
            known[at] = (value, fetched_at)
            if before is None:
                note("added", at, value)
            elif before[0] != value:
                note("corrected", at, value)

        if "covers_from" in headers and "covers_until" in headers:
            begin, end = moment(headers["covers_from"]), moment(headers["covers_until"])
            gone = [at for at, (_, since) in known.items() if begin <= at <= end and at not in said and since <= fetched_at]
            for at in gone:
                note("removed", at, known.pop(at)[0])
            if newest is None or newest[0] <= fetched_at:
                self.covered[series, key["yearMonth"]] = (fetched_at, begin, end)
        return changes

    def current(self):
        for series in sorted(self.values):
            for at, (value, fetched_at) in sorted(self.values[series].items()):
                yield Change("current", series, at, value, fetched_at.isoformat())


def records(brokers, topic, until_end):
    """All committed records of the topic, partition by partition in order; without `until_end` it never ends."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "python-reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        found = consumer.list_topics(topic, timeout=10).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in found.partitions])
        unread = set(found.partitions)
        while unread or not until_end:
            record = consumer.poll(1.0)
            if record is None:
                continue
            if record.error() is None:
                yield record
            elif record.error().code() == KafkaError._PARTITION_EOF:
                unread.discard(record.partition())
            else:
                raise KafkaException(record.error())
    finally:
        consumer.close()


def columns(change):
    series, value = change.series, change.value
    return [
        change.what,
        *series,
        change.observed_at.isoformat(),
        format(value.value, "f"),
        value.qualifier or "",
        "" if value.quality is None else value.quality,
        change.fetched_at,
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brokers", default=os.environ.get("KAFKA_BROKERS", "127.0.0.1:9092"))
    parser.add_argument("--topic", default=os.environ.get("OBSERVATIONS_TOPIC", "observations"))
    parser.add_argument("--until-end", action="store_true", help="stop when all that is there was read")
    parser.add_argument("--current", action="store_true", help="the same, and tell the values that are known then")
    options = parser.parse_args()

    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["change", *Series._fields, "observed_at", "value", "qualifier", "quality", "fetched_at"])
    observations = Observations()
    for record in records(options.brokers, options.topic, options.until_end or options.current):
        key = json.loads(record.key())
        if key["type"] != "OBSERVATION_DATA":
            continue
        # Decimals keep every digit that the source gave; floats would not.
        message = json.loads(record.value(), parse_float=Decimal)
        headers = {name: value.decode() for name, value in record.headers() or []}
        changes = observations.apply(key, message, headers)
        if not options.current:
            out.writerows(map(columns, changes))
            sys.stdout.flush()
    if options.current:
        out.writerows(map(columns, observations.current()))


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(130)

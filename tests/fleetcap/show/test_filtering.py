"""Filters of `tail`: everything given has to agree."""

import pytest

from fleetcap.show.filtering import Filter, WrongFilterError, parse_statuses
from fleetcap_proto.v1 import common_pb2, exchange_pb2

EXCHANGE = exchange_pb2.Exchange(
    protocol="http1",
    process=common_pb2.Process(pid=7, comm="curl"),
    remote=common_pb2.Endpoint(ip="192.0.2.9"),
    request=exchange_pb2.Message(http=exchange_pb2.Http(method="GET", authority="Api.Example.com")),
    response=exchange_pb2.Message(http=exchange_pb2.Http(status=404)),
)


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        (Filter(), True),
        (Filter(process="curl"), True),
        (Filter(process="7"), True),
        (Filter(process="cur"), False),
        (Filter(host="example.com"), True),
        (Filter(host="example.org"), False),
        (Filter(method="get"), True),
        (Filter(method="POST"), False),
        (Filter(statuses=parse_statuses("4xx")), True),
        (Filter(statuses=parse_statuses("404")), True),
        (Filter(statuses=parse_statuses("200-299,500")), False),
        (Filter(protocol="http2"), False),
        (Filter(process="curl", method="POST"), False),
    ],
)
def test_what_is_wanted(only: Filter, *, wanted: bool):
    assert only.exchange(EXCHANGE) is wanted


@pytest.mark.parametrize("text", ["x", "4x", "400-", "-4", "4xx,,"])
def test_what_is_no_status_is_refused(text: str):
    with pytest.raises(WrongFilterError, match="404, 5xx, 400-499"):
        parse_statuses(text)

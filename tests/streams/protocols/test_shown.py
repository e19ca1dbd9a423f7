"""What is shown of bytes: bounded, and without secrets."""

import pytest

from fleetcap_streams.protocols.shown import VALUE_SIZE, text, texts, without_secrets


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        (b"ALTER USER bob PASSWORD 'se''cret' VALID UNTIL 'x'", b"ALTER USER bob PASSWORD '(hidden)' VALID UNTIL 'x'"),
        (b"create user 'a'@'%' identified by 'p\\'w'", b"create user 'a'@'%' identified by '(hidden)'"),
        (
            b'CREATE USER a IDENTIFIED WITH mysql_native_password BY "p"',
            b"CREATE USER a IDENTIFIED WITH mysql_native_password BY '(hidden)'",
        ),
        (
            b"IDENTIFIED WITH 'sha' AS 'p' , b IDENTIFIED BY 'q'",
            b"IDENTIFIED WITH 'sha' AS '(hidden)' , b IDENTIFIED BY '(hidden)'",
        ),
        (b"IDENTIFIED BY 'new' REPLACE 'old'", b"IDENTIFIED BY '(hidden)' REPLACE '(hidden)'"),
        (b"SET PASSWORD FOR 'bob'@'%' = PASSWORD('x')", b"SET PASSWORD FOR 'bob'@'%' = PASSWORD('(hidden)')"),
        (b"grant all on *.* to a identified by password '*ABC'", b"grant all on *.* to a identified by password '(hidden)'"),
        (
            b"create subscription s connection 'host=h password=abc'",
            b"create subscription s connection 'host=h password='(hidden)''",
        ),
        (b"alter role x encrypted password E'cut of", b"alter role x encrypted password '(hidden)'"),
        (b"select password from t where id = 'x'", b"select password from t where id = 'x'"),
        (b"select 'nothing to hide'", b"select 'nothing to hide'"),
    ],
)
def test_passwords_in_statements_are_left_out(statement: bytes, shown: bytes):
    assert without_secrets(statement) == shown


def test_text_is_cut_and_escaped():
    assert text(b"plain") == "plain"
    assert text(b"\xff\xfe") == "\\xff\\xfe"
    assert text(b"x" * 1000) == "x" * VALUE_SIZE + "…"


def test_values_are_counted_out():
    assert texts([b"a", None]) == ["a", None]
    assert len(texts([b"a"] * 1000)) == 64

"""PostgreSQL, protocol 3: startup, simple and extended queries, COPY, notices and notifications, cancels, pipelines.

wire.py       where messages end and begin, and what shape they have
probe.py      whether it is PostgreSQL
frontend.py   contents of the client's messages        results.py  contents of the server's
units.py      what is asked and remembered             values.py   values as text
talk.py       the client's half, to requests           answers.py  the server's half, to responses

An exchange is a startup, a simple query, or in the extended protocol what leads up to an Execute (or to a Sync without one).
A message's body is the statement, or the result: column names, rows separated by tabs, command tags; its size is that on the
wire. Attributes of a request: `operation` (startup, ssl_request, gss_request, query, function_call, execute, prepare, bind,
describe, close), `statement` and `portal` (their names), `parameters` (the first 64) and `parameter_count`; of a startup `user`,
`database`, `application_name`, `parameters` (the others). Of a response: `rows` (returned), `affected_rows`, `command_tag`,
`command_tags` (of several statements), `columns`, `error`, `error_code` (SQLSTATE), `severity`, `detail`, `hint`, `notices`,
`copy` (in, out, both), `copy_bytes`, `suspended`, `transaction_status` (idle, in_transaction, failed), `skipped`; of a startup's
`authentication` (methods), `parameters`, `server_version`, `process_id`; of an encryption request's `accepted`. SINGLE are
`operation` cancel, terminate, notification (`channel`, `process_id`), notice (`notice`), parameter (`parameter`, `value`).

Notes: `body-cut`, `truncated`, `after-gap` (bytes were lost before; this answer may not be whole, nor belong to this request),
`statement-unknown`, `skipped` (after an error earlier in the batch), `secret-hidden`, `resynchronised`. Passwords and
authentication data are never read.
"""

from typing import Final

from fleetcap_streams.protocols.framed import framed_spec
from fleetcap_streams.protocols.postgresql.answers import NAME
from fleetcap_streams.protocols.postgresql.probe import probe
from fleetcap_streams.protocols.postgresql.talk import PostgreSql

SPEC: Final = framed_spec(NAME, probe, PostgreSql)

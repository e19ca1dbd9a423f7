"""MySQL and MariaDB: login, queries, prepared statements, results, uploads, compression by zlib and zstd.

wire.py       packets, and what each may look like      handshake.py  the beginning of a connection
probe.py      whether it is MySQL                       requests.py   what the client asks
talk.py       compressed or not                         answers.py    what the server answers
session.py    packets to commands and answers           values.py     values as text
state.py      what is remembered of a connection        messages.py   what is put out

A message's body is the statement (of a prepared one too, where it is known), or the result: column names, rows separated by
tabs, what the server says of it; its size is that on the wire, before compression.
Attributes of a request: `command` (COM_QUERY …), `database` (COM_INIT_DB),
`statement_id`, `parameters` (the first 64) and `parameter_count`, `table`, `process_id`; of a login `operation` (login), `user`,
`database`, `auth_plugin`, `connection_attributes`, `capabilities`. Of a response: `rows` (returned, of all results), `results`,
`affected_rows`, `last_insert_id`, `warnings`, `info`, `columns`, `error`, `error_code`, `sql_state`, `transaction_status`,
`statement_id` and `parameter_count` (of what was prepared), `local_infile` and `local_infile_bytes`.
SINGLE are the greeting (`operation` greeting,
`server_version`, `connection_id`, `capabilities`, `auth_plugin`) and commands that are not answered.

Notes: `body-cut`, `truncated`, `after-gap` (bytes were lost before; this answer may not be whole, nor belong to this request),
`statement-unknown`, `secret-hidden` (a password was left out, or not read), `resynchronised`.
"""

from typing import Final

from fleetcap_streams.protocols.framed import framed_spec
from fleetcap_streams.protocols.mysql.messages import NAME
from fleetcap_streams.protocols.mysql.probe import probe
from fleetcap_streams.protocols.mysql.talk import MySql

SPEC: Final = framed_spec(NAME, probe, MySql)

"""The demo: real TLS clients and servers on this machine, and the proof that fleetcap saw every exchange of theirs.

    __main__.py     what the user calls: the order of things, and Ctrl-C
    stage.py        the broker, `fleetcap worker`, `fleetcap capture`, `fleetcap tail`, each a process of its own
    servers.py      starts the TLS servers: ours and nginx
    server.py       the program that is our server
    traffic.py      starts the clients, one scenario after the other
    client.py       the program that is the Python clients
    curl.py         the program that is not ours
    truth.py        what a client logs of an exchange that it made
    watching.py     reads the output topics
    recorded.py     the recording for machines that cannot capture
    compare.py      what the clients logged against what fleetcap decoded
    report.py       what is shown on the screen, but for `tail`'s own table

The clients and servers know nothing of fleetcap: what they log is the truth that the rest is measured by. Tests start the
same ones.
"""

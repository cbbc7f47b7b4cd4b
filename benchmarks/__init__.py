"""What tcpchat costs, measured beside other servers. `python -m benchmarks --help` tells how.

workloads.py   what is measured: how many people, in how many rooms, who talks and how fast
systems.py     what is measured beside what: how each server is started and spoken to
processes.py   servers as child processes: started, observed, ended
load.py        one measurement: the load generator's plan, and what it found
loadgen.c      the load generator: thousands of clients, each of which checks what it receives
yardstick.c    a bare C loop, for what the kernel alone costs
thread_per_client.py   the chat server that most people would write first
accounts.py    what accounts and restrictions cost: log-ins beside a talk, long lists
core.py        the core alone, without I/O
report.py      tables and the JSON file
plots.py       pictures of the JSON file
"""

# sqlite.py MODE DATABASE: a database in this journal mode, through all that can happen to it.

import os
import signal
import sqlite3
import sys

mode, path = sys.argv[1:]
TRANSACTIONS, ROWS = 20, 50
PROCESSES, INSERTS = 3, 15


def connect():
    return sqlite3.connect(path, timeout=200)


def insert(base, text):
    base.execute("insert into t (b) values (?)", (text,))


def in_child(work):
    """Runs it in a process of its own, with a connection of its own."""
    child = os.fork()
    if child == 0:
        base = connect()
        work(base)
        base.close()
        os._exit(0)
    return child


def write_at_once(base):
    for _ in range(INSERTS):
        with base:
            insert(base, "process")


def die_in_a_transaction(base):
    base.execute("pragma cache_size = 5")  # So that pages are written before the commit.
    base.execute("begin immediate")
    for _ in range(ROWS):
        insert(base, "never" * 1000)
    os.kill(os.getpid(), signal.SIGKILL)


def count():
    base = connect()
    counted = base.execute("select count(*) from t").fetchone()[0]
    assert base.execute("pragma integrity_check").fetchone()[0] == "ok"
    base.close()
    return counted


base = connect()
assert base.execute(f"pragma journal_mode = {mode}").fetchone()[0] == mode
base.execute("create table t (a integer primary key, b text)")
base.execute("create index of_b on t (b)")
for n in range(TRANSACTIONS):
    with base:
        base.executemany("insert into t (b) values (?)", [("x" * n * 10,)] * ROWS)
try:
    with base:
        base.execute("delete from t")
        raise KeyError("taken back")
except KeyError:
    pass
base.execute("vacuum")
base.close()
assert count() == TRANSACTIONS * ROWS

children = [in_child(write_at_once) for _ in range(PROCESSES)]
assert [os.waitpid(child, 0)[1] for child in children] == [0] * PROCESSES
assert count() == TRANSACTIONS * ROWS + PROCESSES * INSERTS

killed = in_child(die_in_a_transaction)
assert os.waitpid(killed, 0)[1] == signal.SIGKILL
assert count() == TRANSACTIONS * ROWS + PROCESSES * INSERTS

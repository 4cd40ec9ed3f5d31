"""Servers of data bases that a test starts and stops, each with a socket in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest


def programs():
    """The folder of initdb and postgres, or None."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    return next((h for h in [*homes, *([Path(found).parent] if found else [])] if (h / "initdb").exists()), None)


def as_nobody(command):
    """The command as a user that may run a server: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *map(str, command)]


@contextlib.contextmanager
def postgres():
    """The address of a PostgreSQL that trusts its own socket, as the user shop."""
    home = programs()
    if home is None:
        pytest.skip("no PostgreSQL server here: initdb is neither in /usr/lib/postgresql/*/bin nor on the PATH")
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("PostgreSQL does not run as root, and setpriv is not there to run it as another user")
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:  # sockets need short paths
        if os.geteuid() == 0:
            os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        data, quiet = Path(folder) / "data", {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        init = [home / "initdb", "-D", data, "-U", "shop", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(as_nobody(init), check=True, **quiet)
        (data / "pg_hba.conf").write_text("local all strict scram-sha-256\nlocal all all trust\n")
        run = [
            home / "postgres",
            "-D",
            data,
            "-k",
            folder,
            "-c",
            "listen_addresses=",
            "-F",
            "-c",
            "timezone=Asia/Tokyo",
        ]
        with subprocess.Popen(as_nobody(run), **quiet) as process:
            try:
                address = f"postgresql://shop@/postgres?host={folder}"
                _connected(address, process).close()
                yield address
            finally:
                process.send_signal(signal.SIGINT)  # ends its clients too


def _connected(address, process):
    from adbc_driver_postgresql import dbapi

    until = time.monotonic() + 60
    while True:
        try:
            return dbapi.connect(address)
        except dbapi.Error:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def mariadb():
    """The address of a MariaDB that trusts its own socket, as the user shop, with the data base shop."""
    import pymysql

    server, install = (_program(name) for name in ("mariadbd", "mariadb-install-db"))
    if server is None or install is None:
        pytest.skip("no MariaDB server here: mariadbd and mariadb-install-db are not on the PATH")
    user = "mysql" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with tempfile.TemporaryDirectory(prefix="my", ignore_cleanup_errors=True) as folder:  # sockets need short paths
        shutil.chown(folder, user)
        data, socket, quiet = (
            f"{folder}/data",
            f"{folder}/s",
            {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT},
        )
        own = ["--no-defaults", f"--datadir={data}", f"--user={user}"]
        subprocess.run(
            [install, *own, "--auth-root-authentication-method=normal", "--skip-test-db"], check=True, **quiet
        )
        run = [
            *(server, *own, f"--socket={socket}", "--skip-networking", "--default-time-zone=+09:00"),
            *(f"--pid-file={folder}/pid", "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0"),
        ]
        with subprocess.Popen(run, **quiet) as process:
            try:
                until = time.monotonic() + 60
                while not os.path.exists(socket):
                    assert process.poll() is None, "MariaDB did not start"
                    assert time.monotonic() < until
                    time.sleep(0.1)
                root = pymysql.connect(unix_socket=socket, user="root", autocommit=True)
                with root, root.cursor() as cursor:
                    cursor.execute("CREATE DATABASE shop")
                    cursor.execute("CREATE USER shop@localhost")
                    cursor.execute("CREATE USER strict@localhost IDENTIFIED BY 'right & proper'")
                    for name in ("shop", "strict"):
                        cursor.execute(f"GRANT ALL ON shop.* TO {name}@localhost")
                yield f"mariadb://shop@localhost/shop?unix_socket={socket}"
            finally:
                process.terminate()


def _program(name):
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


_READ = """
import re, sys
from clvml import Transactions
log = Transactions(sys.argv[1], query=sys.argv[2], memory="1GB", threads=1)
rows, histories = log.check().rows, len(log.counts("2024-12-31"))
# not ru_maxrss, which begins at what the process had that started this one
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(rows, histories, int(peak[1]) * 1024)
"""


def read_apart(address, query):
    """(rows, distinct histories, peak of memory in bytes) of a process of its own that reads a log."""
    job = subprocess.run([sys.executable, "-c", _READ, address, query], capture_output=True, text=True, check=True)
    return map(int, job.stdout.split())

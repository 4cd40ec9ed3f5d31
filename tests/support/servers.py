"""Servers of data bases that a test starts and stops, each with a socket in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time

import pytest


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

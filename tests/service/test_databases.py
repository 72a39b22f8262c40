"""What the store may rely on, whichever database it is."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import DBAPIError

from tilewright.errors import CannotStart, InvalidRequest, Unavailable
from tilewright_service.store.backends.mounts import network_file_system
from tilewright_service.store.commit_order import in_commit_order
from tilewright_service.store.database import Database, answers
from tilewright_service.store.failures import failure_of
from tilewright_service.store.instant import now
from tilewright_service.store.opening import open_database
from tilewright_service.store.tables import HostRow, Table, WorkloadRow

from ..postgresql import PostgresServer

LEASE_SECONDS = 10


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def shared(postgresql: PostgresServer) -> Iterator[Database]:
    """Many may write to it at once."""
    url = postgresql.create_migrated_database()
    database = Database(url)
    yield database
    database.close()
    postgresql.drop_database(url)


def add(database: Database, *names: str) -> None:
    with database.writing() as session:
        session.add_all([WorkloadRow(id=name, document="{}") for name in names])


def count(database: Database, table: type[Table] = WorkloadRow) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_snapshot_sees_nothing_of_what_is_written_meanwhile(database: Database) -> None:
    add(database, "before")
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(WorkloadRow)) == 1
        add(database, "meanwhile")
        assert session.scalar(select(func.count()).select_from(WorkloadRow)) == 1
    assert count(database) == 2


def test_a_snapshot_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"read-?\s?only"), database.reading() as session:
        session.execute(delete(WorkloadRow))


def test_who_waits_for_a_row_is_told_to_come_again_well_within_a_lease(database: Database) -> None:
    add(database, "wanted")
    change = update(WorkloadRow).where(WorkloadRow.id == "wanted").values(document="[]")
    with database.writing() as session:
        session.execute(change)
        started = time.monotonic()
        with pytest.raises(Exception) as caught, database.writing() as other:
            other.execute(change)
        assert time.monotonic() - started < LEASE_SECONDS / 2
    assert isinstance(failure_of(caught.value), Unavailable)


def test_text_that_no_database_should_hold_is_the_fault_of_who_sent_it(shared: Database) -> None:
    with pytest.raises(DBAPIError) as caught, shared.reading() as session:
        session.scalar(select(WorkloadRow).where(WorkloadRow.id == "a\0b"))
    assert isinstance(failure_of(caught.value), InvalidRequest)


def test_two_who_wait_for_each_other_are_told_to_come_again(shared: Database) -> None:
    add(shared, "first", "second")
    both_hold_one = threading.Barrier(2)

    def change(*names: str) -> Exception | None:
        try:
            with shared.writing() as session:
                for name in names:
                    session.execute(update(WorkloadRow).where(WorkloadRow.id == name).values(document=str(names)))
                    if name == names[0]:
                        both_hold_one.wait(5)
        except DBAPIError as error:
            return error
        return None

    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(change, ("first", "second"), ("second", "first")))
    failures = [error for error in ended if error is not None]
    assert len(failures) == 1
    assert isinstance(failure_of(failures[0]), Unavailable)


def test_ids_are_seen_in_the_order_in_which_they_were_given(shared: Database) -> None:
    """Without it who exports behind a cursor passes over a row that is committed late."""
    late_has_its_id, late_may_commit = threading.Event(), threading.Event()

    def add_host(name: str, given: threading.Event | None = None, may_commit: threading.Event | None = None) -> None:
        with shared.writing() as session:
            in_commit_order(session, HostRow)
            session.add(HostRow(host_class="any", hostname=name, document="{}", seen_at=now()))
            session.flush()
            if given is not None and may_commit is not None:
                given.set()
                may_commit.wait(5)

    with ThreadPoolExecutor(2) as threads:
        late = threads.submit(add_host, "late", late_has_its_id, late_may_commit)
        assert late_has_its_id.wait(5)
        early = threads.submit(add_host, "early")
        time.sleep(0.2)
        assert count(shared, HostRow) == 0
        late_may_commit.set()
        late.result()
        early.result()
    with shared.reading() as session:
        assert list(session.scalars(select(HostRow.hostname).order_by(HostRow.id))) == ["late", "early"]


def test_a_server_that_was_away_is_used_again(postgresql: PostgresServer, shared: Database) -> None:
    add(shared, "before")
    postgresql.kill()
    try:
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(DBAPIError) as caught:
                add(shared, "lost")
            assert isinstance(failure_of(caught.value), Unavailable)
        assert time.monotonic() - started < LEASE_SECONDS / 2
    finally:
        postgresql.start()
    add(shared, "after")
    assert count(shared) == 2


def test_a_transaction_that_says_nothing_is_ended_by_the_server(shared: Database) -> None:
    for name in ("idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout"):
        with shared.reading() as session:
            said = session.connection().exec_driver_sql(f"SHOW {name}").scalar_one()
        assert 0 < int(said.removesuffix("s")) < LEASE_SECONDS / 2


def test_a_second_service_on_the_same_file_is_refused_wherever_its_data_are(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    link = tmp_path / "another name.db"
    link.symlink_to(tmp_path / "shared.db")
    first = open_database(url)
    for other in (url, f"sqlite:///{link}"):
        with pytest.raises(CannotStart, match="another service uses the database"):
            open_database(other)
    first.close()
    open_database(url).close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_several_services_may_share_a_server(database_url: str) -> None:
    first, second = open_database(database_url), open_database(database_url)
    for each in (first, second):
        with each.reading() as session:
            assert answers(session)
        each.close()


def test_a_file_system_that_others_mount_is_known_by_its_kind(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    name = f"{device >> 8}:{device & 255}"
    for kind, is_shared in (("nfs4", True), ("fuse.sshfs", True), ("cifs", True), ("ext4", False), ("tmpfs", False)):
        mounts.write_text(f"1 1 9:9 / /other rw - nfs4 a rw\n27 1 {name} / / rw,relatime shared:1 - {kind} b rw\n")
        assert network_file_system(tmp_path / "not" / "there.db", mounts) == (kind if is_shared else None)


def test_a_database_on_the_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilewright_service.store.backends.sqlite_file.network_file_system", lambda path: "nfs4")
    with pytest.raises(CannotStart, match=r"on a network file system \(nfs4\)"):
        open_database(f"sqlite:///{tmp_path / 'tilewright.db'}")

# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The context store keeps contexts across processes, privately, and forgets."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.instrumentation import (
    ContextStore,
    FileContextStore,
    MemoryContextStore,
    SpanRef,
    StoredApproval,
    StoredContext,
)

KEY = ("langgraph", "thread/../7", "i-1")
CONTEXT = StoredContext(
    "run-1",
    segment=2,
    root=SpanRef("1" * 32, "2" * 16, 1, "vendor=x"),
    approvals=(StoredApproval("a-1", request=SpanRef("1" * 32, "3" * 16), requested_at=1.5),),
    phases=("one", "two"),
)


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_what_was_put_is_found_and_replaced(tmp_path: Path, kind: str) -> None:
    store: ContextStore = FileContextStore(tmp_path / "new") if kind == "file" else MemoryContextStore()
    assert isinstance(store, ContextStore)
    assert store.get(KEY) is None
    store.put(KEY, CONTEXT)
    assert store.get(KEY) == CONTEXT
    store.put(KEY, StoredContext("run-2"))
    assert store.get(KEY) == StoredContext("run-2")
    assert store.get((*KEY, "more")) is None


def test_files_are_private_and_named_by_hashes(tmp_path: Path) -> None:
    FileContextStore(tmp_path / "contexts").put(KEY, CONTEXT)
    (path,) = (tmp_path / "contexts").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "thread" not in path.name


def test_the_default_directory_is_in_the_state_directory() -> None:
    assert FileContextStore().directory == Path(os.environ["RUNRECORD_STATE_DIR"]) / "contexts"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"segment": 1}', '{"run_id": "r", "root": {}}'])
def test_a_damaged_file_counts_as_nothing(tmp_path: Path, damage: str) -> None:
    store = FileContextStore(tmp_path)
    store.put(KEY, CONTEXT)
    (path,) = tmp_path.iterdir()
    path.write_text(damage)
    assert store.get(KEY) is None


def test_members_of_a_newer_version_are_left_out() -> None:
    text = CONTEXT.to_json().replace('"run_id"', '"new_member":{"a":1},"run_id"')
    assert StoredContext.from_json(text) == CONTEXT


def test_old_entries_are_not_found_and_removed(tmp_path: Path) -> None:
    FileContextStore(tmp_path).put(KEY, CONTEXT)
    (path,) = tmp_path.iterdir()
    past = time.time() - 100
    os.utime(path, (past, past))
    store = FileContextStore(tmp_path, max_age=50)
    assert store.get(KEY) is None
    store.put(("other",), CONTEXT)  # the first write cleans
    assert not path.exists()


def test_the_oldest_leave_when_there_are_too_many(tmp_path: Path) -> None:
    filled = FileContextStore(tmp_path)
    for number in range(5):
        filled.put((str(number),), CONTEXT)
    for age, path in enumerate(sorted(tmp_path.iterdir())):
        os.utime(path, (time.time() - 60 * (age + 1),) * 2)
    FileContextStore(tmp_path, max_entries=3).put(("new",), CONTEXT)
    assert len(list(tmp_path.iterdir())) == 3
    memory = MemoryContextStore(max_entries=2)
    for number in range(3):
        memory.put((str(number),), CONTEXT)
    assert [memory.get((str(number),)) is None for number in range(3)] == [True, False, False]


def test_a_failed_write_leaves_the_old_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileContextStore(tmp_path)
    store.put(KEY, CONTEXT)

    def full(self: Any, target: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        store.put(KEY, StoredContext("run-2"))
    assert store.get(KEY) == CONTEXT
    assert len(list(tmp_path.iterdir())) == 1


def test_threads_may_write_the_same_key(tmp_path: Path) -> None:
    store = FileContextStore(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(KEY, StoredContext(f"run-{number}")), range(50)))
    found = store.get(KEY)
    assert found is not None
    assert found.run_id.startswith("run-")


text = st.text(max_size=20)
spans = st.none() | st.builds(SpanRef, text, text, trace_flags=st.integers(0, 255), trace_state=text)
approvals = st.builds(StoredApproval, text, name=st.none() | text, request=spans, decided=st.booleans())


@given(st.builds(StoredContext, text, root=spans, last=spans, approvals=st.lists(approvals).map(tuple)))
def test_the_stored_form_is_read_back(context: StoredContext) -> None:
    assert StoredContext.from_json(context.to_json()) == context

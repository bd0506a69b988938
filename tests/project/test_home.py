# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The tests keep their state to themselves."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def test_no_test_and_no_process_of_one_keeps_state_in_the_home_directory() -> None:
    code = "from runrecord.semconv.commitment import load_tenant_key, tenant_key_file as file; load_tenant_key(); print(file())"
    environment = {name: value for name, value in os.environ.items() if name != "RUNRECORD_KEY"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    path = Path(done.stdout.strip())
    assert path.is_file()
    assert path.is_relative_to(tempfile.gettempdir())
    assert not path.is_relative_to(Path.home())

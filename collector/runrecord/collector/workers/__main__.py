# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One child of the supervisor, which starts it as ``python -m runrecord.collector.workers NAME SOCKET PIPE``."""

import signal
import sys

for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(
        _number, signal.SIG_IGN
    )  # a whole group may get them; the supervisor says in which order to stop

from runrecord.collector.workers.child import main  # noqa: E402 - takes a while to import

main(int(sys.argv[2]), int(sys.argv[3]))

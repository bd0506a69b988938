# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord witness serve` in a process of its own, for the tests."""

from __future__ import annotations

import re
import subprocess
import sys

from runrecord.ledger.witness import WitnessState


class Serving:
    """`runrecord witness serve` in a process of its own."""

    def __init__(self, directory, *arguments, name="witness.example/w1"):
        self.directory, self._arguments = directory, arguments
        if not directory.exists():
            self.run("init", str(directory), "--name", name)
        self.vkey = WitnessState(directory).signer.vkey
        self.start()

    @staticmethod
    def command(*arguments):
        return [sys.executable, "-c", "from runrecord.cli.main import main; main()", "witness", *arguments]

    @classmethod
    def run(cls, *arguments):
        return subprocess.run(cls.command(*arguments), check=True, capture_output=True, text=True).stdout

    def start(self, port=0):
        command = self.command(
            "serve", str(self.directory), "--listen", f"127.0.0.1:{port}", *self._arguments
        )
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        text = ""
        while "ready" not in text:
            line = self.process.stdout.readline()
            assert line, f"the witness ended: {text}"
            text += line
        self.url = re.search(r"(http://\S+)/add-checkpoint", text)[1]

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

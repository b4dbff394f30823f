"""Start a child that hears interrupts, even where the tests run in the background of a shell, which ignores them."""

import sys

_RESET = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
HEARING_INTERRUPTS = (sys.executable, "-c", _RESET)  # before the command, whose program is given by its path

"""Where user code runs: the VM, its bytecode, and the checks that are put into it."""

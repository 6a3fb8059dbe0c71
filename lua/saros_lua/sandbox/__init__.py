"""The sandbox of user code: the VM, the bytecode, and the checks that are put into it."""

"""What a program needs of its machine: whole files, locks, signals, memory, devices and processes."""

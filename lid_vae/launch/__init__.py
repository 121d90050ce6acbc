"""From a sweep to runs on devices and machines: what is to run, by which engine, and how far all of it is."""

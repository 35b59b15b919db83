"""The parts of the Overview page: one module a part, what it computes in `core`, its tables and charts apart."""

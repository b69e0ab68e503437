"""Running it all on machines: what jobs depend on, ask for, take and leave."""

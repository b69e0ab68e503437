"""The study: designs, simulation, fitting, measures, tables and figures around `models`."""

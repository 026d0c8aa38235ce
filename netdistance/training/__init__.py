"""Tasks, networks and the optimiser comparison."""

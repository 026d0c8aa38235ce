"""Ways to store weights in fewer bits, simulated: what each keeps, and what it costs."""

"""Trust (modelled), certificates (proved), estimates (first order) and attack (worst found)."""

# every bound that a report can hold, by the name of its row
BOUND_NAMES = (
    "deep_relative_trust",
    "spectral_trust",
    "first_order_rms",
    "first_order_worst",
    "norms_certificate",
    "ball_certificate",
    "box_certificate",
    "known_change_certificate",
    "neuron_certificate",
    "spectral_product",
    "input_lipschitz",
    "max_relative_step",
    "loss_change",
)

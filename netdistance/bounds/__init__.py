"""Trust (modelled), certificates (proved), estimates (first order) and attack (worst found)."""

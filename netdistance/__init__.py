"""netdistance: how far apart are two neural networks, and how much does it matter?"""

__version__ = "0.1.0"

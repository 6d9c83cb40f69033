"""HOW one configuration is trained: chips, pairs, the network, the loop, and its Ray trainable."""

"""How pictures become chips: files and archives read, their pixels and scale, and the simulated set."""

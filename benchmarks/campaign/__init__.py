"""The fault campaign: simulated sensors, the real gateway, real brokers, and a server that checks everything."""

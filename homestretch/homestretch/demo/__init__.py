"""`rtm demo`: the whole platform on one machine, with throw-away data and simulated patients."""

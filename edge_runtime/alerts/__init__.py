"""From decisions to delivered alarms: votes, events, the outbox and whoever is told."""

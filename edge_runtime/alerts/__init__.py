"""Alarms: votes on judged frames, events and their pictures, the outbox, and the sinks that deliver them."""

"""What `benchmarks.night_watch` is made of. Broker, subscriber and sensor noise are those of the station's tests."""

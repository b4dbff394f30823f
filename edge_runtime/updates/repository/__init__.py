"""What the trusted repository is made of: python-tuf's client, downloads that go on, and the floor of time."""

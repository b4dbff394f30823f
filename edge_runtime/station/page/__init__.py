"""The station's page: what a shift operator sees and judges in a browser. A process of its own beside the service."""

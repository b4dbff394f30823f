"""Model updates: fetched, verified, tried and put in place so that a failure leaves the model before at work."""

"""Who a station is: the key that it makes at its first start, and the reports that it signs for central."""

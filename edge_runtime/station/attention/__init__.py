"""What persons told the station to keep quiet about: acknowledged alarms, snoozed labels, cameras under maintenance."""

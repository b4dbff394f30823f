"""What persons judged of alarms and pictures: records, the station's store of them, and the archive that leaves it."""

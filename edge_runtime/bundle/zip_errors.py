"""What Python raises while it reads a .zip that is damaged, cut off, or made by somebody to do harm."""

import zipfile
import zlib

# Of the .zip itself, its compressed data, its end, a feature that Python lacks, a password, a name or place that cannot
# be, and the disk. `zipfile` promises none of them but the first.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
